"""What an import keeps of groups with default names, and what it leaves of what users of the dataset decided."""

import json

import pytest

import ccip_plugin as ccip
from ccip_plugin.labels.decisions.document import read_decisions
from ccip_plugin.labels.identities import load_registry
from tests.support.groups import embed, labels

pytestmark = pytest.mark.mongo

LETTERS = "aaaabbbccd"
ONE, TWO, THREE = "char_0001", "char_0002", "char_0003"


@pytest.fixture
def files(images):
    return images(LETTERS)


@pytest.fixture
def grouped(dataset, files):
    """Makes datasets of the same files, grouped."""

    def make(*, is_grouped=True):
        data = dataset(*files)
        embed(data, LETTERS)
        if is_grouped:
            ccip.group_characters(data)
            assert labels(data) == [ONE] * 4 + [TWO] * 3 + [THREE] * 2 + ["unassigned"]
        return data

    return make


@pytest.fixture
def carried(tmp_path):
    """Brings the decisions of a dataset to another one."""

    def carry(source, target, **options):
        ccip.export_decisions(source, tmp_path / "a.json")
        return ccip.import_decisions(target, tmp_path / "a.json", **options)

    return carry


def groups(data):
    return load_registry(data, "character_group").groups


def rejected(data):
    """For the places of images the names of the groups that they were rejected from."""
    registry, ids = load_registry(data, "character_group"), data.values("id")
    return {
        ids.index(item): registry.groups[group_id].name
        for group_id, items in registry.rejections.items()
        for item in items
    }


@pytest.mark.parametrize("is_grouped", [False, True], ids=["fresh", "grouped"])
def test_a_rejection_from_a_group_that_nobody_named_survives(grouped, carried, is_grouped):
    source, target = grouped(), grouped(is_grouped=is_grouped)
    ccip.reject(source[4:5])
    done = carried(source, target)
    group = labels(target)[5]
    assert (done.n_rejected, done.conflicts, rejected(target)) == (1, (), {4: group})
    assert labels(target)[5:7] == [group] * 2 and groups(target)[1 if not is_grouped else 2].is_auto_named
    ccip.group_characters(target)
    assert labels(target)[4] != labels(target)[5] == labels(target)[6] and 4 in rejected(target)


def test_only_the_nearest_of_such_a_group_are_in_the_file(grouped, tmp_path, monkeypatch):
    monkeypatch.setattr("ccip_plugin.labels.decisions.exporting._MEMBERS", 2)
    source = grouped()
    ccip.reject(source[:1])
    ccip.export_decisions(source, tmp_path / "a.json")
    items = read_decisions(tmp_path / "a.json").items
    assert [(item.name, item.status, item.rejected) for item in items if item.rejected] == [(None, None, (ONE,))]
    members = {item.path for item in items if item.name == ONE and item.status is None}
    near = sorted(source[1:4], key=lambda sample: sample.character_group.difference)[:2]
    assert members == {sample.filepath for sample in near}


def test_a_rejection_from_a_named_group_without_images_survives(grouped, carried):
    source, target = grouped(), grouped(is_grouped=False)
    ccip.rename_group(source, TWO, "Rei")
    ccip.reject(source[4:5])
    ccip.ignore(source[5:7])
    carried(source, target)
    assert rejected(target) == {4: "Rei"}


def test_a_split_survives_where_the_dataset_has_one_group(grouped, carried):
    source, target = grouped(), grouped()
    ccip.split_group(source, ONE, parts=[source.values("id")[:1]])
    done = carried(source, target)
    parts = labels(target)[:4]
    assert done.conflicts == () and parts[0] != parts[1] == parts[2] == parts[3]
    assert done.n_apart == 1 and done.facts()["Pairs of groups kept apart"] == "1"
    ids = {group.name: group_id for group_id, group in groups(target).items()}
    assert ids[parts[1]] in groups(target)[ids[parts[0]]].apart
    ccip.group_characters(target)
    assert labels(target)[:4] == parts


def name(data):
    ccip.rename_group(data, ONE, "Asuka")


def hold(data):
    ccip.keep_together(data, groups=ONE)


def apart(data):
    ccip.keep_apart(data, groups=[ONE, TWO])


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize(
    "decide, decide_here, kept",
    [
        pytest.param(lambda data: ccip.rename_group(data, ONE, "Rei"), name, "named 'Asuka'", id="name against name"),
        pytest.param(
            lambda data: ccip.rename_group(data, ONE, "Rei"), hold, f"kept together in '{ONE}'", id="name against merge"
        ),
        pytest.param(
            lambda data: ccip.split_group(data, ONE, parts=[data.values("id")[2:4]]),
            hold,
            f"kept together in '{ONE}'",
            id="split against merge",
        ),
        pytest.param(
            lambda data: ccip.merge_groups(data, [ONE, TWO]),
            apart,
            f"in '{TWO}', which is kept apart from others",
            id="merge against apart",
        ),
        pytest.param(
            lambda data: ccip.move(data[:2], "Rei"), hold, f"kept together in '{ONE}'", id="images against merge"
        ),
        pytest.param(lambda data: ccip.reject(data[:2]), hold, f"kept together in '{ONE}'", id="rejection"),
        pytest.param(lambda data: ccip.ignore(data[:2]), hold, f"kept together in '{ONE}'", id="ignored"),
    ],
)
def test_what_users_of_the_dataset_said_of_groups_stays_and_is_listed(
    grouped, carried, decide, decide_here, kept, overwrite
):
    source, target = grouped(), grouped()
    decide(source)
    decide_here(target)
    before = labels(target)
    done = carried(source, target, overwrite=overwrite)
    listed = [each for each in done.conflicts if each.item_id is None and each.kept == kept]
    assert len(listed) == 1 and listed[0].n_items > 1
    assert (labels(target) == before) is not overwrite
    assert not rejected(target) or overwrite
    assert any(f"{kept} in the dataset" in each for each in done.facts().warnings)


def test_a_group_that_was_named_here_is_not_taken_apart_by_a_default_name(grouped, carried):
    source, target = grouped(), grouped()
    ccip.confirm(source[:2])
    ccip.reject(source[3:4])
    ccip.rename_group(target, ONE, "Asuka")
    done = carried(source, target)
    assert done.conflicts == () and labels(target)[:4] == ["Asuka"] * 3 + ["unassigned"]
    assert target.values("character_group.status")[:3] == ["confirmed", "confirmed", "auto"]
    assert rejected(target) == {3: "Asuka"}


@pytest.mark.parametrize("overwrite", [False, True])
def test_covers(grouped, carried, overwrite):
    source, fresh, target = grouped(), grouped(is_grouped=False), grouped()
    ccip.set_cover(source[1:2])
    assert carried(source, fresh).conflicts == ()
    (group,) = groups(fresh).values()
    assert group.cover == fresh.values("id")[1] and labels(fresh) == [group.name] * 4 + [None] * 6
    ccip.set_cover(target[2:3])
    done = carried(source, target, overwrite=overwrite)
    assert [(each.said, each.kept) for each in done.conflicts] == [(f"the cover of '{ONE}'", "another image is")]
    assert groups(target)[1].cover == target.values("id")[1 if overwrite else 2]


def test_one_path_with_two_decisions_is_listed(grouped, dataset, tmp_path):
    source = grouped()
    ccip.move(source[:1], "Rei")
    ccip.export_decisions(source, tmp_path / "a.json")
    values = json.loads((tmp_path / "a.json").read_text())
    (row,) = [row for row in values["items"] if row.get("name") == "Rei"]
    values["items"] = [row, {**row, "name": "Asuka"}, row]
    (tmp_path / "a.json").write_text(json.dumps(values))
    target = grouped(is_grouped=False)
    done = ccip.import_decisions(target, tmp_path / "a.json")
    assert [str(each) for each in done.conflicts] == [
        f"{row['path']}: it has several decisions in the file, its label stays in the dataset"
    ]
    assert labels(target)[0] is None
    values["items"] = [row, row]
    (tmp_path / "a.json").write_text(json.dumps(values))
    done = ccip.import_decisions(target, tmp_path / "a.json")
    assert done.conflicts == () and labels(target)[0] == "Rei"


def test_one_box_with_two_decisions_is_listed(dataset, files, tmp_path):
    import fiftyone as fo

    data = dataset(files[0])
    data.set_values("people", [fo.Detections(detections=[fo.Detection(label="x", bounding_box=[0.1, 0.1, 0.5, 0.5])])])
    ccip.move(data.to_patches("people"), "Rei")
    ccip.export_decisions(data, tmp_path / "a.json", patches_field="people")
    values = json.loads((tmp_path / "a.json").read_text())
    values["items"].append({**values["items"][0], "name": "Asuka"})
    (tmp_path / "a.json").write_text(json.dumps(values))
    done = ccip.import_decisions(data, tmp_path / "a.json", patches_field="people", overwrite=True)
    assert [each.said for each in done.conflicts] == ["it has several decisions"]
    assert data.values("people.detections.character_group") == [["Rei"]]


def test_a_file_of_the_first_version_is_read(grouped, tmp_path):
    source, target = grouped(), grouped(is_grouped=False)
    ccip.rename_group(source, ONE, "Rei")
    ccip.reject(source[4:5])
    ccip.export_decisions(source, tmp_path / "a.json")
    values = json.loads((tmp_path / "a.json").read_text())
    assert values["version"] == 2
    values["items"] = [row for row in values["items"] if row.get("status") or row.get("rejected")]
    (tmp_path / "a.json").write_text(json.dumps({**values, "version": 1}))
    done = ccip.import_decisions(target, tmp_path / "a.json")
    assert labels(target)[:4] == ["Rei"] * 4 and (done.n_rejected, done.n_unknown) == (0, 1)
    assert dict(done.facts().pairs)["Not applied, as no image of the group is here"] == "1"


def test_labels_edited_by_hand_are_recorded_first(grouped, carried):
    source, target = grouped(), grouped()
    ccip.ignore(source[:1])
    target[:1].set_values("character_group.label", ["Hand"])
    done = carried(source, target)
    assert (done.n_by_hand, done.n_changed, done.number) == (1, 0, None)
    assert [(each.said, each.kept) for each in done.conflicts] == [("ignored", "'Hand'")]
    assert [each.action for each in ccip.history(target)] == ["edited_by_hand", "group_characters"]
    assert carried(source, target, overwrite=True).n_changed == 1
    for _ in range(2):
        ccip.undo(target)
    assert labels(target)[0] == ONE
