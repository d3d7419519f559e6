"""Many exports into one folder, with users at work between them: nothing of theirs is ever lost."""

import random
from pathlib import PurePosixPath

import pytest

from ccip_plugin.core.export.carrying import CACHE_SUFFIXES
from ccip_plugin.core.export.layouts import LAYOUTS, get_layout
from ccip_plugin.core.export.manifest import MANIFEST, read_manifest
from ccip_plugin.core.export.planning import ExportOptions, plan_export
from ccip_plugin.core.export.records import TrainingImage
from ccip_plugin.core.export.tree import write_export

CHARACTERS = ["Rei", "rei", "..", "con", "a/b", "test", "綾波"]


def contents(folder):
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


class User:
    """Somebody who works in an export: edits captions, adds files, deletes images."""

    def __init__(self, rng, out):
        self.rng, self.out, self.captions, self.files, self.n = rng, out, {}, {}, 0

    def work(self):
        manifest = read_manifest(self.out)
        images = manifest.of_kind("image")
        for key, entry in manifest.of_kind("caption").items():
            if self.rng.random() < 0.2:
                self.captions[key] = f"edited {self.rng.random()}"
                (self.out / entry.path).write_text(self.captions[key])
        for entry in self.rng.sample(sorted(images.values(), key=lambda entry: entry.path), min(2, len(images))):
            image = PurePosixPath(entry.path)
            names = ["notes.md", "-masklabel.png", "_0064x0064.npz", ".json"]
            self.add(image.with_name(image.stem + self.rng.choice(names)), entry.key)
            self.add(image.with_name(f"mine {self.rng.random()}.png"))
            self.add(PurePosixPath(f"sub {self.rng.random()}") / "deep" / "x.bin")
        if self.rng.random() < 0.3:
            (self.out / self.rng.choice(sorted(entry.path for entry in images.values()))).unlink()

    def add(self, path, key=None):
        self.n += 1
        file = self.out / path
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(b"file %d" % self.n)
            self.files[b"file %d" % self.n] = path.suffix, key


@pytest.mark.parametrize("seed", range(4))
def test_nothing_of_a_users_work_is_lost(tmp_path, seed):
    rng = random.Random(seed)
    media, out = tmp_path / "media", tmp_path / "out"
    media.mkdir()
    for key in range(12):
        (media / f"{key}.png").write_bytes(b"image %d" % key)
    user, before = User(rng, out), None
    for _ in range(8):
        changed = {str(key) for key in rng.sample(range(12), 2)}
        for key in changed:
            (media / f"{key}.png").unlink()  # an export may link to it
            (media / f"{key}.png").write_bytes(b"changed %f" % rng.random())
        layout = get_layout(rng.choice([name for name in LAYOUTS if name != "imagefolder"]))
        images = [
            TrainingImage(str(key), str(media / f"{key}.png"), rng.choice(CHARACTERS))
            for key in rng.sample(range(12), rng.randint(3, 12))
        ]
        plan = plan_export(images, ExportOptions(balance=rng.random() < 0.7), escape=layout.escape)
        report = write_export(plan, layout, out, link=rng.random() < 0.5)
        after = contents(out)
        if before is not None:
            assert contents(tmp_path / "out.old") == before
        for folder in plan.folders:
            for image in folder.images:
                path = layout.image_path(folder, image)
                caption = after[str(PurePosixPath(path).with_suffix(".txt"))].decode()
                assert caption == user.captions.get(image.image.key, f"{image.caption}\n")
                assert after[path] == (media / f"{image.image.key}.png").read_bytes()
        lost = {content for content in user.files if content not in after.values()}
        stale = {before[path] for path in report.carried.stale}
        assert lost == stale, "a file of a user is not in the export"
        assert all(user.files[content][0] in CACHE_SUFFIXES for content in stale)
        for content in lost:
            del user.files[content]
        user.work()
        before = contents(out)
