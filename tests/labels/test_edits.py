"""People say that an image is not of its group: it leaves, and no run brings it back."""

import fiftyone as fo
import fiftyone.operators as foo
import pytest

from ccip_plugin.core.clustering import METHODS
from ccip_plugin.grouping import group_characters, propose_groups
from ccip_plugin.grouping.proposals import apply_proposal, rescued_view
from ccip_plugin.labels import changes
from ccip_plugin.labels.deletion import delete_grouping
from ccip_plugin.labels.edits import NothingToRejectError, reject
from ccip_plugin.labels.history import redo, undo
from ccip_plugin.labels.identities import load_registry
from ccip_plugin.storage.fields import UNASSIGNED
from ccip_plugin.storage.targets import TargetError
from tests.support.app.operator_tools import facts, form, problems, run, said
from tests.support.groups import embed, labels

pytestmark = pytest.mark.mongo

REJECT, UNDO = "@ccip/characters/reject", "@ccip/characters/undo"
ONE, TWO = "char_0001", "char_0002"


@pytest.fixture
def twins(dataset):
    """Images of two who look much alike, ``a`` and ``A``."""

    def make(letters):
        new = dataset(*[f"/絵/{n} {letter}.png" for n, letter in enumerate(letters)])
        embed(new, letters)
        return new

    return make


def rejections(data, path="character_group"):
    return {key: set(ids) for key, ids in load_registry(data, path).rejections.items()}


@pytest.mark.parametrize("method", METHODS)
def test_no_run_brings_it_back(embedded, method):
    data = embedded("aaaaaaab")
    group_characters(data)
    first = data.first().id
    done = reject(data.select(first))
    assert done.facts().headline == f"rejected: 1 of '{ONE}'" and done.n_rejected == 1
    assert labels(data)[0] == UNASSIGNED and rejections(data) == {1: {first}}
    group_characters(data, method=method)
    assert labels(data)[0] == UNASSIGNED
    data.first().reload()
    assert not data.first().character_group.rescued


def test_it_is_undone_and_redone_exactly(embedded):
    data = embedded("aaab")
    group_characters(data)
    before, registry = data.values("character_group"), load_registry(data, "character_group")
    reject(data[:2])
    after = data.values("character_group")
    undo(data)
    assert data.values("character_group") == before
    assert load_registry(data, "character_group").groups == registry.groups and not rejections(data)
    redo(data)
    assert data.values("character_group") == after
    assert rejections(data) == {1: set(data[:2].values("id"))}


def test_an_earlier_rejection_stays_when_a_later_one_is_undone(embedded):
    data = embedded("aaab")
    group_characters(data)
    ids = data.values("id")
    reject(data.select(ids[0]))
    reject(data.select(ids[:2]))
    assert rejections(data) == {1: set(ids[:2])}
    undo(data)
    assert rejections(data) == {1: {ids[0]}}


@pytest.mark.parametrize("is_proposed", [False, True])
def test_it_holds_in_the_group_that_its_group_becomes_a_part_of(twins, is_proposed):
    data = twins("aaaa" + "AAAAA")
    group_characters(data, eps=0.15)
    assert labels(data) == [TWO] * 4 + [ONE] * 5
    first = data.first().id
    reject(data.select(first))
    if is_proposed:
        propose_groups(data, eps=0.3)
        assert load_registry(data, "character_group").groups[2].merged_into is None
        apply_proposal(data)
    else:
        group_characters(data, eps=0.3)
    merged = [UNASSIGNED, *[ONE] * 8]
    assert labels(data) == merged
    assert rejections(data) == {2: {first}}, "nobody said anything about the other group"
    assert load_registry(data, "character_group").groups[2].merged_into == 1
    group_characters(data, eps=0.3)
    assert labels(data) == merged
    assert delete_grouping(data, dry_run=True).n_groups == 1
    undo(data)
    assert labels(data) == [UNASSIGNED, *[TWO] * 3, *[ONE] * 5]
    assert load_registry(data, "character_group").groups[2].merged_into is None


def test_it_holds_after_two_mergers(twins):
    data = twins("aaaa" + "AAAAA" + "b" * 12)
    group_characters(data, eps=0.15)
    first, names = data.first().id, {letter: labels(data)[at] for letter, at in (("a", 0), ("A", 4), ("b", 9))}
    assert len(set(names.values())) == 3
    reject(data.select(first))
    group_characters(data, method="dbscan", eps=0.3)
    assert labels(data)[:9] == [UNASSIGNED, *[names["A"]] * 8] and labels(data)[9] == names["b"]
    group_characters(data, method="dbscan", eps=1)
    assert labels(data) == [UNASSIGNED, *[names["b"]] * 20]


def test_a_group_that_stays_where_it_is_was_not_merged(twins):
    """Images outside of a view keep their groups, whatever they look like."""
    data = twins("aaaa" + "AAAAA")
    group_characters(data, eps=0.15)
    reject(data[:1])
    group_characters(data[4:], method="dbscan", eps=0.3)
    assert labels(data) == [UNASSIGNED, *[TWO] * 3, *[ONE] * 5]
    assert load_registry(data, "character_group").groups[2].merged_into is None
    group_characters(data[:1], method="dbscan", eps=0.3)
    assert labels(data)[0] in (ONE, UNASSIGNED)


def test_it_may_be_of_another_group(twins):
    data = twins("aaaaa" + "AAA")
    group_characters(data, eps=0.3)
    assert set(labels(data)) == {ONE}
    reject(data[5:])
    group_characters(data, eps=0.15)
    assert (
        labels(data)[:5] == [ONE] * 5 and len(set(labels(data)[5:])) == 1 and labels(data)[5] not in (ONE, UNASSIGNED)
    )


def test_that_a_person_puts_it_there_counts(twins):
    data = twins("aaaa" + "AAAAA")
    group_characters(data, eps=0.15)
    reject(data[:1])
    first = data.first()
    first.character_group.label = ONE
    first.save()
    merging, noticing, after = (group_characters(data, eps=0.3) for _ in range(3))
    assert labels(data) == [ONE] * 9
    assert [found.ids for found in noticing.contradictions] == [(first.id,)]
    assert merging.contradictions == after.contradictions == ()


def test_a_label_that_a_person_gave_can_be_rejected(embedded):
    data = embedded("aab")
    group_characters(data, eps=0.12)
    first = data.first()
    first.character_group.label = "Rei 綾波"
    first.save()
    assert reject(data[:1]).groups == {"Rei 綾波": 1}
    group_characters(data, eps=0.12)
    assert labels(data)[0] != "Rei 綾波"


def test_labels_that_were_there_before_any_run(embedded):
    data = embedded("aab")
    data.add_sample_field("character_group", fo.EmbeddedDocumentField, embedded_doc_type=fo.Classification)
    data.set_values("character_group", [fo.Classification(label="綾波 💙"), fo.Classification(label="綾波 💙"), None])
    facts = reject(data[1:]).facts()
    assert (facts.headline, facts["In no group before"]) == ("rejected: 1 of '綾波 💙'", "1")
    group_characters(data)
    assert labels(data)[0] == "綾波 💙" != labels(data)[1]


def test_what_is_interrupted_is_finished(embedded, monkeypatch):
    data = embedded("aaab")
    group_characters(data)

    def stop(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(changes, "save_delta", stop)
        reject(data[:1])
    reject(data[1:2])
    assert rejections(data) == {1: set(data[:2].values("id"))}
    assert labels(data) == [UNASSIGNED, UNASSIGNED, ONE, UNASSIGNED]


def test_many_groups_are_not_all_named(embedded):
    data = embedded("a" * 400)
    names = [fo.Classification(label=f"人物 {n:04d}") for n in range(400)]
    data.add_sample_field("character_group", fo.EmbeddedDocumentField, embedded_doc_type=fo.Classification)
    data.set_values("character_group", names)
    done = reject(data.select(data.values("id")))
    assert len(done.groups) == 400 and len(done.facts().headline) < 200
    assert done.facts().headline.endswith("1 of '人物 0004', and of 395 other groups")
    undo(data)
    assert data.values("character_group.label")[399] == "人物 0399"


def test_detections(with_faces):
    data = with_faces("ab")
    group_characters(data, patches_field="faces")
    path = "faces.detections.character_group"
    patches = data.to_patches("faces")
    before = data.values("faces_characters")
    done = reject(patches[:2])
    assert done.path == path and done.n_rejected == 2
    data.reload()
    assert data.values(path, unwind=True)[:2] == [UNASSIGNED] * 2 and data.values("faces_characters") != before
    undo(data, patches_field="faces")
    assert data.values("faces_characters") == before


def test_what_cannot_be_rejected(embedded):
    data = embedded("aab")
    with pytest.raises(NothingToRejectError, match="the chosen item is not in a group"):
        reject(data[:1])
    group_characters(data)
    with pytest.raises(NothingToRejectError):
        reject(data[2:])
    with pytest.raises(NothingToRejectError, match="none of the 0 chosen"):
        reject(data.limit(0))
    with pytest.raises(TargetError, match="every image"):
        reject(data)
    mixed = reject(data.select(data.values("id")))
    assert (mixed.n_rejected, mixed.n_without) == (2, 1) and mixed.facts()["In no group before"] == "1"


def test_a_dry_run_changes_nothing(embedded):
    data = embedded("aab")
    group_characters(data)
    before = data.values("character_group")
    assert reject(data[:1], dry_run=True).groups == {ONE: 1}
    assert data.values("character_group") == before and not rejections(data)


def test_rescued_images_are_undone_so(embedded):
    data = embedded("aaab")
    group_characters(data)
    data.set_values("character_group.rescued", [True, None, None, None])
    data.reload()
    reject(rescued_view(data))
    group_characters(data)
    assert labels(data)[:2] == [UNASSIGNED, ONE] and not len(rescued_view(data))


# -- the operator


def test_the_form_says_what_is_rejected(embedded):
    data = embedded("aaabb")
    assert "Select" in problems(form(REJECT, data))["selection_error"]
    ids = data.values("id")
    assert "images have no character groups" in problems(form(REJECT, data, selected=ids[:1]))["nothing_error"]
    group_characters(data)
    asked = form(REJECT, data, selected=ids[1:4])
    assert said(asked, "what_hint").startswith(f"To be removed from their group: 2 of '{ONE}', 1 of '{TWO}'.")
    run(REJECT, data, selected=ids[3:])
    assert "there is nothing to reject" in problems(form(REJECT, data, selected=ids[3:]))["groups_error"]


def test_the_operator_rejects_and_can_be_undone(embedded):
    data = embedded("aaab")
    group_characters(data)
    before = labels(data)
    shown = run(REJECT, data, selected=data.values("id")[:1])
    assert shown["notify"]["message"] == f"CCIP: rejected: 1 of '{ONE}'"
    told = facts(shown["show_output"]["results"])
    assert told["Removed from their group"] == f"1 of '{ONE}'"
    assert told["Action"] == "not this character (change 2)" and told["Reviewed"].startswith("0 of 4 images confirmed")
    data.reload()
    assert labels(data)[0] == UNASSIGNED
    run(UNDO, data)
    data.reload()
    assert labels(data) == before


def test_the_operator_takes_patches(with_faces):
    data = with_faces("ab")
    group_characters(data, patches_field="faces")
    patches = data.to_patches("faces")
    run(REJECT, patches, selected=patches.values("id")[:1])
    assert len(rejections(data, "faces.detections.character_group")) == 1


def test_from_python(embedded):
    data = embedded("aab")
    group_characters(data)
    assert foo.get_operator(REJECT)(data[:1]).n_rejected == 1
    assert isinstance(data.first().character_group, fo.Classification)
