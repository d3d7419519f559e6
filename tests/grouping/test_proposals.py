"""Proposals: what they say, how they keep, who may apply them."""

import fiftyone as fo
import pytest

from ccip_plugin.core.errors import ParameterError
from ccip_plugin.grouping import group_characters, propose_groups
from ccip_plugin.grouping.proposals import NoProposalError, apply_proposal, load_proposal, pending_proposals
from ccip_plugin.labels.edits import reject
from ccip_plugin.labels.history import redo, undo
from ccip_plugin.labels.identities import StaleGroupsError, load_registry
from ccip_plugin.labels.journal import Journal
from ccip_plugin.storage.fields import EMBEDDINGS_FIELD
from tests.support.groups import embed, labels

pytestmark = pytest.mark.mongo

KEY = "ccip_proposal_character_group"


@pytest.fixture
def grouped(dataset):
    """``grouped("aab")`` gives a dataset with an embedding per letter that is grouped."""

    def make(letters, **options):
        new = dataset(*[f"/絵/{n} {letter}.png" for n, letter in enumerate(letters)])
        embed(new, letters)
        group_characters(new, **options)
        return new

    return make


def set_vectors(samples, letters):
    """What the images look like, from now on."""
    embed(samples, letters)


@pytest.mark.parametrize(
    "before, after, expected, becomes",
    [
        pytest.param("aabb", "aabb", {"unchanged": 4}, [], id="nothing"),
        pytest.param("aaab", "aabb", {"unchanged": 2, "moved": 1, "new": 1}, [("new", None)], id="an image moves"),
        pytest.param("aabb", "aaaa", {"unchanged": 2, "merged": 2}, [("merged", 1)], id="a merge"),
        pytest.param("aaaaa", "aaabb", {"unchanged": 3, "split": 2}, [("split", 1)], id="a split"),
        pytest.param("aabb", "aabc", {"unchanged": 2, "unassigned": 2}, [("gone", None)], id="a group falls apart"),
        pytest.param("aa ", "aaa", {"unchanged": 2, "new": 1}, [], id="a new image"),
        pytest.param("aa ", "aab", {"unchanged": 2, "unassigned": 1}, [], id="a new image of nobody"),
    ],
)
def test_says_what_would_change(grouped, before, after, expected, becomes):
    samples = grouped(before)
    was = labels(samples)
    set_vectors(samples, after)
    proposal = propose_groups(samples)
    assert labels(samples) == was
    assert {kind: n for kind, n in proposal.counts.items() if n} == expected
    assert [(change.kind, change.other) for change in proposal.groups] == becomes
    for kind, n in expected.items():
        assert len(proposal.view(kind)) == n and proposal.view(kind).values("id") == list(proposal.ids[kind])
    report = apply_proposal(samples)
    wanted = len(after) - expected.get("unchanged", 0)
    assert report.n_written == wanted + report.n_refreshed
    text = report.facts()["Labels written"]
    assert (f", of which {report.n_refreshed} only with new confidence or difference" in text) == (
        report.n_refreshed > 0
    )
    assert {kind: n for kind, n in report.changes.items() if n} == expected
    assert [change.kind for change in report.groups] == [kind for kind, _ in becomes if kind != "new"]
    assert propose_groups(samples).counts["unchanged"] == len(after)


def test_applying_gives_what_grouping_gives_and_is_undone_exactly(grouped):
    samples, same = grouped("aabbc"), grouped("aabbc")
    before = samples.values("character_group")
    for each in (samples, same):
        set_vectors(each, "aaabb")
    propose_groups(samples)
    apply_proposal(samples)
    group_characters(same)
    names = ("label", "group_id", "status", "confidence", "difference", "margin", "assigned", "rescued")
    paths = [f"character_group.{name}" for name in names]
    assert samples.values(paths) == same.values(paths)
    assert not samples.has_run(KEY)
    after = samples.values("character_group")
    undo(samples)
    samples.reload()
    assert samples.values("character_group") == before
    redo(samples)
    samples.reload()
    assert samples.values("character_group") == after


def test_a_proposal_has_the_report_of_the_grouping(grouped):
    samples = grouped("aabb")
    report = propose_groups(samples, eps=1.0).report
    assert (report.n_written, report.number, report.proposal_key) == (0, None, KEY)
    assert report.facts()["Labels written"] == "none, this is a proposal"
    assert labels(samples) == ["char_0001"] * 2 + ["char_0002"] * 2
    (pending,) = pending_proposals(samples)
    assert (pending.path, pending.is_outdated) == ("character_group", False)
    report = apply_proposal(samples)
    assert (report.n_written, report.proposal_key) == (4, None)
    assert labels(samples) == ["char_0001"] * 4
    assert samples.get_run_info("ccip_groups").config.parameters["eps"] == 1.0


def test_a_first_grouping_may_be_proposed_too(dataset):
    samples = dataset("/a.png", "/b.png")
    embed(samples, "aa")
    assert propose_groups(samples).counts["new"] == 2
    assert not samples.has_field("character_group")
    assert apply_proposal(samples).n_written == 2


def test_keeps_what_people_did_since(grouped):
    samples = grouped("aabb")
    propose_groups(samples, eps=1.0)
    first = samples[2:].first()
    first.character_group.label = "綾波レイ"
    first.save()
    apply_proposal(samples)
    assert labels(samples) == ["char_0001", "char_0001", "綾波レイ", "char_0001"]


def test_survives_deleted_images(grouped):
    samples = grouped("aabb")
    proposal = propose_groups(samples, eps=1.0)
    samples.delete_samples(samples.last().id)
    assert len(proposal.view("merged")) == 1
    assert apply_proposal(samples).n_written == 3


def test_is_outdated_when_the_groups_were_changed(grouped):
    samples = grouped("aabb")
    propose_groups(samples, eps=1.0)
    group_characters(samples, min_samples=3)
    assert [pending.is_outdated for pending in pending_proposals(samples)] == [True]
    with pytest.raises(StaleGroupsError, match=r"changed since it was made; apply what is left .* propose_groups"):
        apply_proposal(samples)
    assert labels(samples) == ["unassigned"] * 4
    assert load_proposal(samples).counts["merged"] == 2, "it can still be looked at"


def test_there_is_none(grouped):
    samples = grouped("aabb")
    for call in (apply_proposal, load_proposal):
        with pytest.raises(NoProposalError, match="propose_groups"):
            call(samples)
    assert pending_proposals(samples) == []
    with pytest.raises(ParameterError, match="merged"):
        propose_groups(samples).view("old")


def test_a_new_proposal_takes_the_place_of_the_last(grouped):
    samples = grouped("aabb")
    propose_groups(samples, eps=1.0)
    propose_groups(samples)
    assert load_proposal(samples).counts["unchanged"] == 4


def test_proposes_for_detections(dataset):
    samples = dataset("/a.png", "/b.png")
    for sample in samples:
        boxes = [fo.Detection(label="girl", bounding_box=[0, 0, 0.5, 0.5]) for _ in range(2)]
        sample["girls"] = fo.Detections(detections=boxes)
        sample.save()
    embed(samples, "abac", "girls")
    proposal = propose_groups(samples, patches_field="girls")
    assert (proposal.counts["new"], proposal.counts["unassigned"]) == (2, 2)
    assert proposal.view("new").values("girls.detections.id", unwind=True) == list(proposal.ids["new"])
    apply_proposal(samples, patches_field="girls")
    assert samples.values("girls.detections.character_group") == [["char_0001", "unassigned"]] * 2


READER = """
    import sys
    import fiftyone as fo
    assert not [name for name in sys.modules if "ccip" in name]
    dataset = fo.load_dataset(sys.argv[1])
    config = dataset.get_run_info("ccip_proposal_character_group").config
    results = dataset.load_run_results("ccip_proposal_character_group")
    print({kind: n for kind, n in config.counts.items() if n})
    print(dataset.select(results.ids["merged"]).values("filepath"))
"""


def test_reads_in_a_process_without_the_plugin_and_in_a_clone(grouped, run_python):
    samples = grouped("aabb")
    samples.persistent = True
    propose_groups(samples, eps=1.0)
    out = run_python(READER, samples.name).stdout.splitlines()
    assert out == ["{'unchanged': 2, 'merged': 2}", "['/絵/2 b.png', '/絵/3 b.png']"]
    clone = samples.clone()
    try:
        assert load_proposal(clone).counts["merged"] == 2
    finally:
        clone.delete()


RACE = """
    import sys
    import fiftyone as fo
    from ccip_plugin.labels.identities import StaleGroupsError
    from ccip_plugin.grouping.proposals import NoProposalError, apply_proposal
    dataset = fo.load_dataset(sys.argv[1])
    print("ready", flush=True)
    try:
        print(apply_proposal(dataset).n_written)
    except (NoProposalError, StaleGroupsError) as error:
        print(type(error).__name__)
"""


def test_two_processes_do_not_apply_one_proposal_twice(grouped, start_python):
    samples = grouped("ab" * 300)
    samples.persistent = True
    propose_groups(samples, eps=1.0)
    both = [start_python(RACE, samples.name) for _ in range(2)]
    results = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], results
    said = sorted(out.split()[-1] for out, _ in results)
    assert said[0] == "600" and said[1] in ("NoProposalError", "ProposalOutdatedError", "StaleGroupsError"), results
    assert set(labels(samples)) == {"char_0001"}
    entries = Journal(samples, "character_group").entries()
    assert [entry.state for entry in entries] == ["done", "done"]
    assert load_registry(samples, "character_group").revision == 2
    assert samples.count(EMBEDDINGS_FIELD) == 600


def test_a_rejection_that_a_later_decision_overrules_is_lifted(grouped):
    data = grouped("aaab")
    first = data.first()
    name = first.character_group.label
    reject(data[:1])
    first.reload()
    first.character_group.label = name
    first.save()
    rejections = load_registry(data, "character_group").rejections
    assert [set(ids) for ids in rejections.values()] == [{first.id}]
    propose_groups(data)
    apply_proposal(data)
    assert not any(load_registry(data, "character_group").rejections.values())
    undo(data)
    assert load_registry(data, "character_group").rejections == rejections
