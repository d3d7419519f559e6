"""The named characters of a dataset as a library: what is saved, what is left out, what it is good for."""

import json
import zipfile

import fiftyone as fo
import numpy as np
import pytest
from PIL import Image

from ccip_plugin import (
    confirm,
    delete_grouping,
    group_characters,
    ignore,
    load_library,
    merge_libraries,
    reject,
    rename_group,
    save_library,
)
from ccip_plugin.core.differences import differences
from ccip_plugin.core.errors import CCIPError, ParameterError
from ccip_plugin.core.library.files import LibraryExistsError, LibraryWriteError
from ccip_plugin.core.library.records import LibraryError
from ccip_plugin.labels.edits.chosen import NoSuchGroupError
from ccip_plugin.library.members import NoEmbeddingsError
from ccip_plugin.library.saving import NoCharactersError
from tests.support.groups import embed, vector

pytestmark = pytest.mark.mongo

LETTERS = "aaaabbbbcccd"
PATCHES = "people"


class Data:
    """A grouped dataset of samples or of detections, three in a sample; the first two groups have names."""

    def __init__(self, data, patches_field):
        self.data, self.options = data, {"patches_field": patches_field}
        embed(data, LETTERS, patches_field)
        group_characters(data, **self.options)
        names = data.distinct(
            f"{patches_field}.detections.character_group" if patches_field else "character_group.label"
        )
        self.groups = [name for name in names if name != "unassigned"]
        rename_group(data, self.groups[0], "綾波レイ", **self.options)
        rename_group(data, self.groups[1], "Asuka", **self.options)

    def confirm(self, *groups):
        confirm(self.data, groups=list(groups), **self.options)

    def save(self, path, **options):
        return save_library(self.data, path, **self.options, **options)


@pytest.fixture(params=[None, PATCHES], ids=["samples", "detections"])
def named(request, dataset, images):
    paths = images(LETTERS)
    if request.param is None:
        return Data(dataset(*paths), None)
    data = dataset(*paths[:4])
    for sample in data.iter_samples(autosave=True):
        boxes = [fo.Detection(label="girl", bounding_box=[0.3 * k, 0.1, 0.3, 0.8]) for k in range(3)]
        sample[PATCHES] = fo.Detections(detections=boxes)
    return Data(data, PATCHES)


def test_confirmed_images_of_named_groups_are_saved(named, tmp_path):
    named.confirm("綾波レイ")
    saved = named.save(tmp_path / "mine")
    assert saved.path == tmp_path / "mine.ccip.zip" and saved.n_images == 4
    assert (list(saved.unconfirmed), saved.n_unnamed) == (["Asuka"], 1)
    assert "'Asuka'" not in str(saved) and "Asuka" in str(saved) and "Confirm" in str(saved)
    library = load_library(saved.path)
    assert library.names == ["綾波レイ"] and library.origin.model_name == saved.library.origin.model_name
    (prototype,) = library["綾波レイ"].prototypes
    own = np.stack([vector("a", n) for n in range(4)])
    assert differences(own, prototype[None]).max() < 0.05
    assert library["綾波レイ"].counts.tolist() == [4]


def test_all_images(named, tmp_path):
    assert load_library(named.save(tmp_path / "mine", all_images=True).path).names == ["綾波レイ", "Asuka"]
    assert load_library(named.save(tmp_path / "one", all_images=True, groups="Asuka").path).names == ["Asuka"]


def test_rejected_images_are_kept_as_negatives(named, tmp_path):
    named.confirm("Asuka")
    view = named.data if named.options["patches_field"] is None else named.data.to_patches(PATCHES)
    reject(view.limit(1), **({} if named.options["patches_field"] is None else {"patches_field": PATCHES}))
    named.confirm("綾波レイ")
    rei = load_library(named.save(tmp_path / "mine").path)["綾波レイ"]
    assert rei.counts.sum() == 3
    np.testing.assert_allclose(rei.negatives, vector("a", 0)[None], atol=1e-3)


def test_ignored_images_are_not_saved(named, tmp_path):
    named.confirm("綾波レイ")
    ignore(named.data, groups="綾波レイ", **named.options)
    with pytest.raises(CCIPError):
        named.save(tmp_path / "mine", groups="綾波レイ")


def test_details(named, tmp_path):
    options = {"aliases": {"Asuka": ["アスカ"]}, "series": {"Asuka": "EVA"}, "all_images": True}
    library = load_library(named.save(tmp_path / "mine", **options).path)
    assert (library["アスカ"].series, library["綾波レイ"].series) == ("EVA", None)
    assert [each.name for each in library.find("あすか")] == ["Asuka"]
    again = save_library(library, tmp_path / "again", series="All", aliases={"アスカ": ["x"]})
    assert load_library(again.path)["x"].series == "All" and "2 characters saved" in str(again)
    with pytest.raises(LibraryError, match="the characters are"):
        named.save(tmp_path / "other", all_images=True, aliases={"Nobody": ["x"]})


def test_no_image_and_no_path_is_in_the_file(named, tmp_path):
    file = named.save(tmp_path / "mine", all_images=True).path
    with zipfile.ZipFile(file) as archive:
        assert set(archive.namelist()) == {"characters.json", "vectors.npy"}
        text = archive.read("characters.json").decode()
    assert not any(part in text for part in (str(tmp_path), ".png", ".jpg", *named.data.values("id")))
    assert set(json.loads(text)["characters"][0]) == {
        "name",
        "aliases",
        "series",
        "prototypes",
        "n_images",
        "negatives",
        "limit",
    }


def test_thumbnails(named, tmp_path):
    library = load_library(named.save(tmp_path / "mine", all_images=True, thumbnails=True).path)
    for character in library.characters:
        path = tmp_path / "x.webp"
        path.write_bytes(character.thumbnail)
        with Image.open(path) as image:
            assert image.height <= 160 and not image.getexif()


def test_what_is_missing_is_said(named, tmp_path, dataset):
    with pytest.raises(NoCharactersError, match="confirm images of them, or set all_images=True"):
        named.save(tmp_path / "mine")
    with pytest.raises(NoSuchGroupError):
        named.save(tmp_path / "mine", groups="Nobody")
    with pytest.raises(NoEmbeddingsError, match="compute_embeddings"):
        named.save(tmp_path / "mine", embeddings_field="other")
    delete_grouping(named.data, **named.options)
    with pytest.raises(NoCharactersError, match="group and name"):
        named.save(tmp_path / "mine")
    assert not list(tmp_path.glob("*.zip"))


def test_files_are_not_replaced_unasked(named, tmp_path):
    named.save(tmp_path / "mine", all_images=True)
    with pytest.raises(LibraryExistsError, match="overwrite=True"):
        named.save(tmp_path / "mine", all_images=True)
    named.save(tmp_path / "mine", all_images=True, overwrite=True)
    with pytest.raises(LibraryWriteError, match="no folder"):
        named.save(tmp_path / "none" / "mine", all_images=True)


@pytest.mark.parametrize(
    "options", [{"aliases": 5}, {"aliases": {"Asuka": "x"}}, {"series": 5}, {"thumbnails": 1}, {"all_images": "yes"}]
)
def test_invalid_options(named, tmp_path, options):
    with pytest.raises(ParameterError):
        named.save(tmp_path / "mine", **options)


def test_labels_of_another_field_are_a_library_too(dataset, images, tmp_path):
    data = dataset(*images("aab"))
    embed(data, "aab")
    data.set_values("who", [fo.Classification(label=name) for name in ("Rei", "Rei", "Asuka")])
    assert load_library(save_library(data, tmp_path / "mine", group_field="who").path).names == ["Rei", "Asuka"]


def test_merged_libraries(named, tmp_path):
    first = named.save(tmp_path / "first", all_images=True, groups="Asuka").path
    second = named.save(tmp_path / "second", all_images=True, aliases={"綾波レイ": ["Rei"]}).path
    merged = merge_libraries(first, str(second))
    assert merged.library.names == ["Asuka", "綾波レイ"] and not merged.conflicts
    assert save_library(merged.library, tmp_path / "both").path.is_file()
    with pytest.raises(CCIPError):
        merge_libraries(first, tmp_path / "none")
