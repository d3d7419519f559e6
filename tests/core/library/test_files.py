"""Character libraries as files: read as written, and hostile ones refused in a sentence."""

import contextlib
import io
import json
import zipfile

import numpy as np
import pytest

from ccip_plugin.core.errors import CCIPError
from ccip_plugin.core.library import files
from ccip_plugin.core.library.files import (
    LibraryExistsError,
    LibraryFileError,
    LibraryNotFoundError,
    LibraryWriteError,
    read_library,
    write_library,
)
from ccip_plugin.core.library.records import Character, Library, LibraryError, Origin

WEBP = b"RIFF\x04\x00\x00\x00WEBPxxxx"


def unit(n, dim=768, seed=0):
    rows = np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture
def library():
    rei = Character.of(
        " 綾波レイ ",
        unit(3, seed=1),
        counts=[20, 3, 1],
        negatives=unit(2, seed=2),
        aliases=["Rei Ayanami", "あやなみ"],
        series="EVA 💙",
        limit=0.12,
        thumbnail=WEBP,
    )
    return Library(Origin("ccip-demo", "ab" * 32, 2), (rei, Character.of("Asuka", unit(1, seed=3))))


@pytest.fixture
def file(library, tmp_path):
    return write_library(library, tmp_path / "mine")


def parts(file):
    with zipfile.ZipFile(file) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(path, members, **options):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items() if isinstance(members, dict) else members:
            archive.writestr(name, content, **options)
    return path


def test_it_is_read_as_it_was_written(library, file):
    assert file.name == "mine.ccip.zip"
    read = read_library(file)
    assert read.origin == library.origin and read.names == ["綾波レイ", "Asuka"]
    for mine, theirs in zip(library.characters, read.characters, strict=True):
        assert (mine.name, mine.aliases, mine.series, mine.limit, mine.thumbnail) == (
            theirs.name,
            theirs.aliases,
            theirs.series,
            theirs.limit,
            theirs.thumbnail,
        )
        assert mine.counts.tolist() == theirs.counts.tolist()
        for name in ("prototypes", "negatives"):
            np.testing.assert_allclose(getattr(theirs, name), getattr(mine, name), atol=2e-4)
            np.testing.assert_allclose(np.linalg.norm(getattr(theirs, name), axis=1), 1, atol=1e-6)


def test_it_is_read_without_the_ending(file):
    assert len(read_library(file.with_name("mine"))) == 2


def test_the_same_library_is_the_same_file(library, tmp_path):
    dated = Library(library.origin, library.characters, "2026-01-01T00:00:00+00:00")
    paths = [write_library(dated, tmp_path / name) for name in ("a", "b")]
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_it_has_no_paths_and_no_pickles(file):
    assert set(parts(file)) == {"characters.json", "vectors.npy", "thumbnails/0.webp"}
    assert str(file.parent).encode() not in b"".join(parts(file).values())
    np.load(io.BytesIO(parts(file)["vectors.npy"]), allow_pickle=False)


def test_an_existing_file_is_not_overwritten(library, file):
    before = file.read_bytes()
    with pytest.raises(LibraryExistsError, match="overwrite=True"):
        write_library(library, file)
    assert file.read_bytes() == before
    write_library(library.described("Asuka", series="EVA"), file, overwrite=True)
    assert read_library(file)["Asuka"].series == "EVA"


def test_what_cannot_be_written(library, tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "in", "/proc/none/x", "a\0b/\0", ""):
        with pytest.raises(LibraryError):
            write_library(library, path)
    with pytest.raises(LibraryWriteError):
        write_library(library, tmp_path / "file" / "in")
    with pytest.raises(LibraryError, match="no characters"):
        write_library(Library(library.origin), tmp_path / "empty")


def test_it_is_read_from_its_content(file):
    assert read_library(file.read_bytes()).names == read_library(file).names
    with pytest.raises(LibraryFileError, match="no library was read"):
        read_library(b"PK")


@pytest.mark.parametrize("value", [5, None, b"x", object()])
def test_no_path(value, library):
    for function in (read_library, lambda path: write_library(library, path)):
        with pytest.raises(CCIPError):
            function(value)


def test_no_file(tmp_path):
    with pytest.raises(LibraryNotFoundError, match="does not exist"):
        read_library(tmp_path / "none")
    with pytest.raises(CCIPError):
        read_library(tmp_path)
    with pytest.raises(CCIPError):
        read_library("a\0b")


def changed(file, change):
    members = parts(file)
    head = json.loads(members["characters.json"])
    change(head)
    return {**members, "characters.json": json.dumps(head)}


def first(name, value):
    def change(head):
        head["characters"][0][name] = value

    return change


def head(name, value):
    return lambda head: head.__setitem__(name, value)


HEADS = {
    "another format": head("format", "x"),
    "a newer version": head("version", 2),
    "no version": head("version", None),
    "no model": head("model", None),
    "a model of another kind": head("model", {"name": 5}),
    "no characters": head("characters", []),
    "a character that is none": head("characters", [5]),
    "no name": first("name", None),
    "an empty name": first("name", " "),
    "a long name": first("name", "x" * 300),
    "half a character": first("name", "\ud800"),
    "a line break": first("name", "a\nb"),
    "a name twice": first("name", "Asuka"),
    "aliases that are none": first("aliases", [5]),
    "many aliases": first("aliases", [str(n) for n in range(200)]),
    "places outside": first("prototypes", [0, 1, 600]),
    "negative places": first("prototypes", [-1, 0, 1]),
    "places twice": first("prototypes", [0, 0, 0]),
    "places of another": first("prototypes", [0, 1, 5]),
    "no prototypes": first("prototypes", []),
    "huge places": first("prototypes", [2**70]),
    "places that are true": first("prototypes", [True]),
    "too few numbers of images": first("n_images", [1]),
    "a huge number of images": first("n_images", [2**63, 1, 1]),
    "a limit over 1": first("limit", 2),
    "a limit that is a text": first("limit", "0.1"),
    "a limit of infinity": first("limit", float("inf")),
    "a thumbnail elsewhere": first("thumbnail", "../x.webp"),
    "a thumbnail that is not there": first("thumbnail", "thumbnails/7.webp"),
    "the vectors as thumbnail": first("thumbnail", "vectors.npy"),
}


@pytest.mark.parametrize("name", HEADS)
def test_invalid_content(name, file, tmp_path):
    path = write(tmp_path / "bad.zip", changed(file, HEADS[name]))
    with pytest.raises(LibraryFileError, match="no library was read"):
        read_library(path)


def npy(array, **options):
    stream = io.BytesIO()
    np.save(stream, array, **options)
    return stream.getvalue()


def with_nan():
    rows = unit(6).astype("<f2")
    rows[2, 5] = np.nan
    return rows


VECTORS = {
    "not finite": npy(with_nan()),
    "zero": npy(np.zeros((6, 768), "<f2")),
    "of another length": npy(unit(6).astype("<f2") * 3),
    "float32": npy(unit(6)),
    "pickled": npy(np.array([{}] * 6, object), allow_pickle=True),
    "one row": npy(unit(1)[0].astype("<f2")),
    "cut": npy(unit(6).astype("<f2"))[:-10],
    "longer": npy(unit(6).astype("<f2")) + b"x",
    "a huge shape": npy(unit(6).astype("<f2")).replace(b"(6, 768)", b"(9999999, 768)")[:9000],
    "text": b"no array",
    "nothing": b"",
}


@pytest.mark.parametrize("name", VECTORS)
def test_invalid_vectors(name, file, tmp_path):
    path = write(tmp_path / "bad.zip", {**parts(file), "vectors.npy": VECTORS[name]})
    with pytest.raises(LibraryFileError):
        read_library(path)


def test_other_members_are_refused(file, tmp_path):
    for name in ("../out.txt", "/etc/passwd", "x.pkl", "thumbnails/../a.webp", "C:\\a"):
        with pytest.raises(LibraryFileError, match="does not belong"):
            read_library(write(tmp_path / "bad.zip", {**parts(file), name: b"x"}))
    with pytest.warns(UserWarning, match="Duplicate"):
        path = write(tmp_path / "bad.zip", [*parts(file).items(), ("characters.json", b"{}")])
    with pytest.raises(LibraryFileError, match="twice"):
        read_library(path)


def test_a_bomb_is_not_unpacked(file, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "TOTAL_BYTES", 1 << 20)
    with pytest.raises(LibraryFileError, match="too large"):
        read_library(write(tmp_path / "bad.zip", {**parts(file), "vectors.npy": bytes(2 << 20)}))
    with pytest.raises(LibraryFileError, match="too large"):
        read_library(write(tmp_path / "bad.zip", {**parts(file), "thumbnails/0.webp": WEBP + bytes(1 << 18)}))


def test_nested_json(file, tmp_path):
    for depth in (30, 100_000):
        text = '{"format": "ccip-library", "version": 1, "x": ' + "[" * depth + "]" * depth + "}"
        with pytest.raises(LibraryFileError):
            read_library(write(tmp_path / "bad.zip", {**parts(file), "characters.json": text}))


def test_damaged_files(file, tmp_path):
    content = file.read_bytes()
    random = np.random.default_rng(7)
    path = tmp_path / "bad.zip"
    for _ in range(200):
        damaged = bytearray(content)
        for place in random.integers(0, len(content), random.integers(1, 20)):
            damaged[place] = random.integers(0, 256)
        path.write_bytes(damaged[: random.integers(1, len(content))] if random.random() < 0.3 else damaged)
        with contextlib.suppress(CCIPError):
            characters = read_library(path).characters  # the damage is where nothing of the library is
            assert all(np.isfinite(character.prototypes).all() for character in characters)


def test_limits_on_counts(library, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MAX_PROTOTYPES", 3)
    with pytest.raises(LibraryError, match="the limit is 3"):
        write_library(library, tmp_path / "a")
    monkeypatch.setattr(files, "MAX_PROTOTYPES", 4)
    path = write_library(library, tmp_path / "a")
    monkeypatch.setattr(files, "MAX_PROTOTYPES", 3)
    with pytest.raises(LibraryFileError, match="more than 3 prototypes"):
        read_library(path)


def test_a_library_is_printed_as_names_not_as_vectors(library):
    rei = library.find("Rei")[0]
    assert str(rei).startswith(rei.name) and repr(rei) == f"<Character {rei}>"
    assert f"{len(rei.prototypes)} prototypes)" in str(rei) and len(repr([rei])) < 200
    title, *listed = str(library).splitlines()
    assert title == f"2 characters of {library.origin.model_name}" and listed == list(map(str, library.characters))
    assert repr(library) == f"<Library of 2 characters, {library.origin.model_name}>"
