"""Names for groups and images from references and libraries: proposed, accepted, undone, kept by runs."""

import fiftyone as fo
import numpy as np
import pytest

from ccip_plugin import (
    confirm,
    group_characters,
    history,
    ignore,
    keep_apart,
    move,
    name_characters,
    reject,
    rename_group,
    save_library,
    undo,
)
from ccip_plugin.core.errors import CCIPError, ParameterError
from ccip_plugin.core.identity.groups import GroupNameError
from ccip_plugin.core.library.records import Character, Library, Origin, OtherModelError
from ccip_plugin.core.references import References
from ccip_plugin.core.registry import DEFAULT_MODEL
from ccip_plugin.jobs.naming import NoNamesError
from ccip_plugin.labels.edits.chosen import NoSuchGroupError
from ccip_plugin.labels.edits.names import NameTakenError
from ccip_plugin.labels.identities import load_registry
from ccip_plugin.labels.store import LabelStore
from ccip_plugin.library.members import NoEmbeddingsError
from ccip_plugin.library.report import RowStatus
from ccip_plugin.storage.targets import items_view, resolve
from tests.support.groups import embed, vector

pytestmark = pytest.mark.mongo

LETTERS = "aaaabbbbcccxde"  # groups of a, b and c; x, d and e are in none
REI, ASUKA = "綾波レイ", "Asuka"
PATCHES = "箱"


def references(**letters):
    return References.of(
        {name: np.stack([vector(letter, 50 + n) for n in range(3)]) for name, letter in letters.items()}
    )


KNOWN = references(**{REI: "a", ASUKA: "b", "Xena": "x", "Zoe": "z"})


class Data:
    """A grouped dataset of samples, or of detections, seven in a sample."""

    def __init__(self, data, patches_field):
        self.data, self.options = data, {"patches_field": patches_field}
        embed(data, LETTERS, patches_field)
        group_characters(data, **self.options)
        self.a, self.b, self.c = self.names()[0], self.names()[4], self.names()[8]

    @property
    def store(self):
        return LabelStore(resolve(self.data, self.options["patches_field"]), "character_group")

    def view(self, *places):
        ids = self.store.read()[0]
        return items_view(self.store.target, [ids[place] for place in places])

    def labels(self):
        return self.store.read()[2]

    def names(self):
        return [label and label.label for label in self.labels()]

    def ids(self):
        return self.store.read()[0]

    def stored(self):
        documents = self.data._sample_collection.find().sort("_id", 1)
        return [{key: value for key, value in each.items() if key != "last_modified_at"} for each in documents]

    def call(self, function, *arguments, samples=None, **options):
        return function(self.data if samples is None else samples, *arguments, **self.options, **options)

    def name(self, known=KNOWN, **options):
        return self.call(name_characters, known, **options)


@pytest.fixture(params=[None, PATCHES], ids=["samples", "detections"])
def grouped(request, dataset, tmp_path):
    n_files = len(LETTERS) if request.param is None else 2
    data = dataset(*(tmp_path / f"{n}.png" for n in range(n_files)))
    if request.param is not None:
        for sample in data.iter_samples(autosave=True):
            boxes = [fo.Detection(label="girl", bounding_box=[0.1 * k, 0.1, 0.1, 0.5]) for k in range(7)]
            sample[PATCHES] = fo.Detections(detections=boxes)
    return Data(data, request.param)


def test_nothing_is_written_unasked(grouped):
    before = grouped.stored()
    report = grouped.name()
    assert grouped.stored() == before and report.edit is None
    assert [(row.group, row.name, row.status) for row in report.rows[:2]] == [
        (grouped.a, REI, RowStatus.PROPOSED),
        (grouped.b, ASUKA, RowStatus.PROPOSED),
    ]
    (unknown,) = report.rows[2:]
    assert (unknown.group, unknown.status) == (grouped.c, RowStatus.UNKNOWN) and unknown.score <= 0.5
    assert report.facts()["Unknown, left open"] == "1" and len(grouped.call(history)) == 1


def test_a_row_says_why(grouped):
    row = grouped.name().rows[0]
    assert row.score > 0.8 and row.difference < 0.05 and row.margin > 0.2
    assert row.second in (ASUKA, "Xena", "Zoe") and row.agreeing == 1.0 and row.n_images == 4
    assert row.item_id in grouped.ids()[:4] and set(row.least_sure) == set(grouped.ids()[:4])
    assert row.slips < 0.1
    assert set(row.as_dict()) >= {"group", "name", "score", "margin", "second", "status"}


def test_rows_are_accepted_one_by_one(grouped):
    report = grouped.name(accept=grouped.b)
    assert grouped.names()[:8] == [grouped.a] * 4 + [ASUKA] * 4
    assert [row.name for row in report.accepted] == [ASUKA] and report.edit.n_changed == 4
    assert {label.status for label in grouped.labels()[:8]} == {"auto"}
    assert [row.status for row in grouped.name().rows] == [RowStatus.PROPOSED, RowStatus.HAS_NAME, RowStatus.UNKNOWN]


def test_all_above_a_score_are_one_change(grouped):
    before, registry = grouped.stored(), load_registry(grouped.data, grouped.store.path)
    report = grouped.name(above=0.5)
    assert grouped.names()[:8] == [REI] * 4 + [ASUKA] * 4 and report.edit.groups == {REI: 4, ASUKA: 4}
    assert [entry.action for entry in grouped.call(history)] == ["name_characters", "group_characters"]
    grouped.call(undo)
    assert grouped.stored() == before
    assert load_registry(grouped.data, grouped.store.path).groups == registry.groups


def test_a_preview_names_the_least_sure(grouped):
    preview = grouped.name().above(0.5)
    assert (len(preview.rows), preview.n_images) == (2, 8)
    assert 0 <= preview.slips < 1 and set(preview.least_sure) <= set(grouped.ids()[:8])
    assert (
        str(preview).startswith("from score 0.5: 8 images in 2 rows, about ")
        and repr(preview) == f"<Preview {preview}>"
    )
    report = grouped.name()
    assert report.above(1).rows == () and len(report.view(preview)) > 0
    assert len(report.view(report.rows[:1])) > 0


def test_a_dry_run_writes_nothing(grouped):
    before = grouped.stored()
    report = grouped.name(above=0.5, dry_run=True)
    assert grouped.stored() == before
    assert report.edit.n_changed == 8 and not report.edit.is_done and "would be named" in str(report)


def test_confirmed_if_asked(grouped):
    grouped.name(accept=[grouped.a], confirm=True)
    assert [label.status for label in grouped.labels()[:5]] == ["confirmed"] * 4 + ["auto"]


def test_images_in_no_group(grouped):
    x = grouped.ids()[11]
    report = grouped.name(images=True)
    row = next(row for row in report.rows if row.group is None and row.status == RowStatus.PROPOSED)
    assert (row.item_id, row.name, row.n_images) == (x, "Xena", 1)
    grouped.name(images=True, accept=x)
    label = grouped.labels()[11]
    assert (label.label, label.status, label.assigned, label.source) == ("Xena", "auto", "Xena", "references")
    assert label.confidence == pytest.approx(row.score, abs=1e-5)
    assert label.difference == pytest.approx(row.difference, abs=1e-5) and label.margin > 0.1
    assert grouped.names()[12:] == ["unassigned"] * 2
    grouped.call(undo)
    assert grouped.names()[11] == "unassigned"
    grouped.name(images=True, accept=x, confirm=True)
    assert grouped.labels()[11].status == "confirmed"


def test_the_source_goes_with_the_next_run(grouped):
    x = grouped.ids()[11]
    grouped.name(images=True, accept=x)
    before = grouped.stored()
    grouped.call(group_characters)
    label = grouped.labels()[11]
    assert (label.label, label.source) == ("unassigned", None)
    grouped.call(undo)
    assert grouped.stored() == before and grouped.labels()[11].source == "references"
    grouped.call(group_characters, mode="add")
    assert grouped.labels()[11].source == "references", "a run that adds images leaves it"


def test_an_image_joins_the_group_of_the_name(grouped):
    grouped.call(rename_group, grouped.a, "Xena")
    grouped.name(images=True, above=0.5)
    labels = grouped.labels()
    assert labels[11].label == "Xena" and labels[11].group_id == labels[0].group_id


def test_rejected_and_ignored_images_stay(grouped):
    grouped.call(move, "Xena", samples=grouped.view(11))
    grouped.call(reject, samples=grouped.view(11))
    grouped.call(ignore, samples=grouped.view(12))
    before = grouped.labels()
    report = grouped.name(images=True, above=0)
    assert grouped.ids()[12] not in {row.item_id for row in report.rows}
    assert grouped.labels()[11:13] == before[11:13]


def test_user_given_names_stay(grouped):
    grouped.call(rename_group, grouped.a, "Mine")
    report = grouped.name(above=0)
    assert grouped.names()[0] == "Mine"
    assert [row.status for row in report.rows if row.group == "Mine"] == [RowStatus.OTHER_NAME]
    grouped.name(accept="Mine")
    assert grouped.names()[0] == REI, "unless the row is chosen"


def test_a_name_in_use_is_a_merge(grouped):
    grouped.call(rename_group, grouped.c, REI)
    report = grouped.name(above=0)
    (row,) = [row for row in report.rows if row.group == grouped.a]
    assert row.status == RowStatus.NAME_IN_USE and row.other_id == grouped.labels()[8].group_id
    assert grouped.names()[:5] == [grouped.a] * 4 + [ASUKA]
    with pytest.raises(NameTakenError):
        grouped.name(accept=grouped.a)


def test_groups_that_are_kept_apart_are_no_merge(grouped):
    grouped.call(rename_group, grouped.c, REI)
    grouped.call(keep_apart, [grouped.a, REI])
    report = grouped.name(above=0)
    (row,) = [row for row in report.rows if row.group == grouped.a]
    assert row.status == RowStatus.APART and str(row.status) == "kept apart"
    told = dict(report.facts().pairs)
    assert told["Users keep them apart from the group of that name"] == "1"
    assert told.get("Name is that of another group: merge them?") is None
    with pytest.raises(NameTakenError, match="different characters, so choose another name"):
        grouped.name(accept=grouped.a)
    with pytest.raises(NameTakenError, match="different characters"):
        grouped.call(rename_group, grouped.a, REI)


def test_two_groups_that_are_kept_apart_get_no_common_name(grouped):
    grouped.call(move, None, samples=grouped.view(0, 1))
    grouped.call(keep_apart, [grouped.names()[0], grouped.names()[2]])
    rows = [row for row in grouped.name(above=0).rows if row.name == REI and row.group_id is not None]
    assert sorted(row.status for row in rows) == [RowStatus.APART, RowStatus.PROPOSED]


def test_two_groups_of_one_character(grouped):
    grouped.call(move, None, samples=grouped.view(0, 1))
    report = grouped.name(above=0)
    rows = [row for row in report.rows if row.name == REI and row.group_id is not None]
    assert sorted(row.status for row in rows) == [RowStatus.NAME_IN_USE, RowStatus.PROPOSED]
    assert grouped.names()[:4].count(REI) == 2


@pytest.mark.parametrize("name", ["unassigned", "char_0001", "char_0099", "a\nb"])
def test_what_is_no_name_for_a_group_is_not_proposed(grouped, name):
    """As the groups of another dataset that have no names yet: the other rows can still be accepted."""
    known = references(**{name: "a", ASUKA: "b", "Zoe": "x"})
    if name == "a\nb":
        grouped.call(rename_group, grouped.a, "Mine")
    report = grouped.name(known, above=0, images=True)
    (row,) = [row for row in report.rows if row.name == name and row.group_id == 1]
    assert row.status == RowStatus.NO_NAME and not row.is_accepted
    assert (grouped.names()[4], grouped.names()[11]) == (ASUKA, "Zoe")
    assert dict(report.facts().pairs)["Nearest to what is no name for a group"]
    with pytest.raises(GroupNameError):
        grouped.name(known, accept=grouped.names()[0])


def test_unknown_groups_can_be_chosen(grouped):
    row = next(row for row in grouped.name().rows if row.status == RowStatus.UNKNOWN)
    grouped.name(accept=grouped.c)
    assert grouped.names()[8] == row.name
    with pytest.raises(NoSuchGroupError):
        grouped.name(accept="Nobody")


def test_runs_keep_the_names(grouped):
    grouped.name(above=0.5)
    grouped.call(group_characters)
    assert grouped.names()[:8] == [REI] * 4 + [ASUKA] * 4


def test_a_view(grouped):
    report = grouped.call(name_characters, KNOWN, samples=grouped.view(0, 1, 2))
    assert [(row.group, row.n_images) for row in report.rows] == [(grouped.a, 3)]
    grouped.call(name_characters, KNOWN, samples=grouped.view(0, 1, 2), above=0)
    assert grouped.names()[:4] == [REI] * 4, "a group is named as a whole"


def test_a_library(grouped, dataset, tmp_path):
    other = dataset(*(tmp_path / f"o{n}.png" for n in range(8)))
    embed(other, "AAAAbbbb")  # another appearance of a, and b
    embed(other, "aaaabbbb")
    group_characters(other)
    for name, new in zip(dict.fromkeys(other.values("character_group.label")), (REI, ASUKA), strict=True):
        rename_group(other, name, new)
        confirm(other, groups=new)
    path = save_library(other, tmp_path / "eva", aliases={REI: ["Rei"]}).path
    for options in ({"references": path}, {"library": path}, {"library": str(path)}):
        rows = grouped.call(name_characters, **options).rows
        assert [(row.group, row.name) for row in rows[:2]] == [(grouped.a, REI), (grouped.b, ASUKA)]
    grouped.call(rename_group, grouped.a, "Rei")
    statuses = {row.group: row.status for row in grouped.call(name_characters, library=path).rows}
    assert statuses["Rei"] == RowStatus.HAS_NAME, "an alias is the name"
    both = grouped.call(name_characters, references(Cat="c"), library=path)
    assert {row.group: row.name for row in both.rows if row.status == RowStatus.PROPOSED} == {
        grouped.b: ASUKA,
        grouped.c: "Cat",
    }


def test_libraries_of_other_models_are_refused(grouped):
    library = Library(Origin("ccip-demo"), (Character.of("a", vector("a", 0)),))
    with pytest.raises(OtherModelError, match="Compute embeddings with 'ccip-demo'"):
        grouped.call(name_characters, library=library)
    ours = Library(Origin(DEFAULT_MODEL), (Character.of("a", vector("a", 0)),))
    assert grouped.call(name_characters, library=ours).rows[0].name == "a"


def test_a_folder_of_references(grouped, images, model_dir, tmp_path):
    files = images("ab")
    for path in files:
        (tmp_path / "cast" / path.stem).mkdir(parents=True)
        path.rename(tmp_path / "cast" / path.stem / path.name)
    report = grouped.call(name_characters, tmp_path / "cast", model_dir=model_dir)
    assert report.n_known == 2 and "references of 2 characters" in report.source


def test_what_cannot_be(grouped, tmp_path):
    with pytest.raises(NoNamesError, match="give references, or a library"):
        grouped.call(name_characters)
    with pytest.raises(NoEmbeddingsError):
        grouped.name(embeddings_field="other")
    for options in ({"above": 2}, {"above": "x"}, {"threshold": 5}, {"min_margin": -1}, {"images": 1}, {"share": 0}):
        with pytest.raises(ParameterError):
            grouped.name(**options)
    with pytest.raises(CCIPError):
        grouped.call(name_characters, library=tmp_path / "none.zip")
    with pytest.raises(CCIPError):
        grouped.name(accept=object())


def test_names_that_no_group_can_have(grouped):
    for name in ("unassigned", "character_0009", "x" * 300):
        assert not grouped.name(references(**{name: "a"}), above=0).accepted
        with pytest.raises(CCIPError):
            grouped.name(references(**{name: "a"}), accept=grouped.a)
    assert grouped.names()[0] == grouped.a
