"""The main job from one end to the other: a folder in, killed twice, grouped, edited, grouped again, undone, read."""

import signal
import time

import fiftyone as fo
import fiftyone.operators as foo
import pytest

from ccip_plugin.storage.fields import EMBEDDINGS_FIELD, UNASSIGNED

pytestmark = [pytest.mark.mongo, pytest.mark.slow]

READER = """
    import sys
    import fiftyone as fo

    dataset = fo.load_dataset(sys.argv[1])
    run = dataset.get_run_info("ccip_groups").config
    print(run.counts["groups"], run.parameters["method"], run.provenance["model_name"])
    print(sorted(dataset.count_values("character_group.label").values()))
    print(dataset.first().character_group.label, dataset.first().character_group.status)
    print(len(dataset.first().ccip_embedding))
    first = dataset.first()
    nearest = dataset.sort_by_similarity(first.id, k=3, brain_key="ccip_similarity")
    print(nearest.first().id == first.id)
    assert not [name for name in sys.modules if "ccip_plugin" in name]
"""


def test_from_a_folder_to_groups_that_a_person_owns(start_python, run_python, images, model_dir):
    paths = images("abcdefgh" * 100, size=(320, 240))
    name = f"絵 {paths[0].parent.parent.name}"
    broken = paths[0].parent / "壊れた 🎀.jpg"
    broken.write_bytes(paths[1].read_bytes()[:100])
    command = ["-m", "ccip_plugin", str(paths[0].parent), "--dataset", name, "--model-dir", str(model_dir)]
    slowly = [*command, "--workers", "1"]  # so that it is killed on the way

    try:
        _kill_when(start_python(slowly), name, n_embedded=1)
        dataset = fo.load_dataset(name)
        first = dataset.count(EMBEDDINGS_FIELD)
        _kill_when(start_python(slowly), name, n_embedded=first + 1)
        assert first < dataset.count(EMBEDDINGS_FIELD)

        out = run_python(command).stdout
        assert broken.name in out
        dataset.reload()
        groups = _groups(dataset)
        assert sorted(map(len, groups.values())) == [100] * 8
        assert dataset.match({"filepath": str(broken)}).first().character_group is None

        # a person renames one label; the operators do the rest
        sample = dataset.first()
        sample.character_group.label = "綾波レイ"
        sample.save()
        before = dataset.values("character_group")
        compute = foo.get_operator("@ccip/characters/compute_embeddings")
        group = foo.get_operator("@ccip/characters/group_characters")
        assert compute(dataset, model_dir=str(model_dir)).n_computed == 0
        report = group(dataset, method="dbscan", eps=1.0)
        assert report.n_human == 1
        dataset.reload()
        assert dataset.first().character_group.label == "綾波レイ"
        assert sorted(map(len, _groups(dataset).values())) == [1, 799]

        foo.get_operator("@ccip/characters/undo")(dataset)
        dataset.reload()
        after = dataset.values("character_group")
        assert after[1:] == before[1:] and after[0].label == "綾波レイ", "the edit is a change of its own"
        foo.get_operator("@ccip/characters/undo")(dataset)
        dataset.reload()
        assert "綾波レイ" not in _groups(dataset)
        foo.get_operator("@ccip/characters/redo")(dataset)
        dataset.reload()
        group(dataset)
        assert _groups(dataset).pop("綾波レイ") == {sample.id}

        out = run_python(READER, name).stdout.splitlines()
        assert out[0] == "9 linkage ccip-caformer-24-randaug-pruned"
        assert out[2:] == ["綾波レイ confirmed", "768", "True"]
    finally:
        if fo.dataset_exists(name):
            fo.delete_dataset(name)


def _kill_when(process, name, n_embedded):
    """SIGKILL as soon as so many embeddings are in the database."""
    end = time.monotonic() + 120
    while time.monotonic() < end:
        assert process.poll() is None, process.communicate()
        if fo.dataset_exists(name):
            dataset = fo.load_dataset(name)
            dataset.reload()
            if dataset.has_field(EMBEDDINGS_FIELD) and dataset.count(EMBEDDINGS_FIELD) >= n_embedded:
                break
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()


def _groups(dataset):
    """The ids of the samples in each group."""
    found = {}
    for sample_id, label in zip(*dataset.values(["id", "character_group.label"]), strict=True):
        if label not in (None, UNASSIGNED):
            found.setdefault(label, set()).add(sample_id)
    return found
