"""Operator: agreement of character groups with a ground truth field."""

from collections.abc import Mapping, Sequence

from fiftyone.operators import types

from ...app import route
from ...app.ask.names import ask_ground_truth, ask_group_field, ask_view
from ...app.forms import Form
from ...app.operator import CCIPOperator
from ...app.outputs import MAX_ROWS, Output, Picture, PictureRow, file_paths
from ...evaluation.evaluate import evaluate_groups
from ...evaluation.ground_truth import read_members
from ...evaluation.group_evaluation import CLICK, COST_LABELS, MISPLACED, GroupEvaluation
from ...labels.store import LabelStore

Members = Mapping[str, Mapping[str, Sequence[str]]]
"""The ids of the items of each group, by their names in the ground truth field."""
N_ROWS, N_PICTURES, N_PIECES = 8, 3, 4
"""Rows of pictures, pictures of a kind in a row, and groups of a character in a row."""


class EvaluateGroups(CCIPOperator):
    """Scores groups; see :func:`~ccip_plugin.evaluation.evaluate.evaluate_groups`."""

    name, label, button = "evaluate_groups", "CCIP: evaluate character groups", "Evaluate"
    description = "Compare character groups with a ground truth field: metrics, clicks to clean, costliest groups"
    risk = types.RiskLevel.MEDIUM
    failure = "CCIP could not evaluate the groups"
    function = staticmethod(evaluate_groups)
    asks = route.asked(patches_field=route.text, group_field=route.text, ground_truth_field=route.text, show=route.text)
    parameters = ("group_field", "ground_truth_field", "run_key")
    is_delegable = True

    def ask(self, form: Form) -> None:
        if form.ask_target("Evaluate") is None:
            return
        group_field, ground_truth_field = ask_group_field(form), ask_ground_truth(form)
        if group_field is not None and group_field == ground_truth_field:
            form.warning("same", "Both are the same field: everything will agree.")
        ask_view(form, COST_LABELS, f"A click {CLICK}")

    def show(self, report: GroupEvaluation, out: Output) -> None:
        show_evaluation(report, out)
        if (kind := out.ctx.params.get("show")) in report.ids:
            out.show_view(report.view(kind))


def show_evaluation(report: GroupEvaluation, out: Output) -> None:
    """Shows an evaluation of groups: what to correct first, then the figures."""
    out.facts(report.facts(), "CCIP: character groups")
    _show_pictures(report, out)
    out.table("table", "Metrics, unassigned images as groups of their own, and without them", report.table())
    out.table("groups", "Groups with the most clicks", report.group_table()[:MAX_ROWS])
    out.table("characters", "Characters with the most clicks", report.character_table()[:MAX_ROWS])


_Shown = list[tuple[str, list[tuple[str, str]]]]
"""Rows: a text, and the ids of items with their groups."""


def _show_pictures(report: GroupEvaluation, out: Output) -> None:
    """Shows characters in several groups first, as one merge each corrects these, then groups with wrong images."""
    members = read_members(report.target, report.group_field, report.ground_truth_field)
    pieces, wrong = _pieces(report, members), _wrong(report, members)
    label = "Characters in several groups, which can be merged. A click shows the group"
    out.pictures("pieces", label, _rows(report, pieces, members))
    label = "Groups with images of another character, which come first. A click shows the group"
    out.pictures("wrong", label, _rows(report, wrong, members))


def _pieces(report: GroupEvaluation, members: Members) -> _Shown:
    """Characters that several groups show, with images of the largest of these. One wrong image in a group is none."""
    groups_of: dict[str, list[tuple[str, Sequence[str]]]] = {}
    for row in report.groups:
        ids = members.get(str(row.name), {}).get(str(row.character), ())
        if ids:
            groups_of.setdefault(str(row.character), []).append((str(row.name), ids))
    found: _Shown = []
    for name in [str(row.name) for row in report.characters]:
        groups = sorted(groups_of.get(name, ()), key=lambda each: (-len(each[1]), each[0]))
        if len(groups) < 2 or len(found) == N_ROWS:
            continue
        pieces = groups[:N_PIECES]
        more = f" and {len(groups) - N_PIECES:,} more" if len(groups) > N_PIECES else ""
        text = f"{name}: {sum(len(ids) for _, ids in groups):,} images in {', '.join(each for each, _ in pieces)}{more}"
        found.append((text, [(each, group) for group, ids in pieces for each in ids[:N_PICTURES]]))
    return found


def _wrong(report: GroupEvaluation, members: Members) -> _Shown:
    """Groups with images of other characters: these images first, then some of the group's own character."""
    found, misplaced = [], set(report.ids[MISPLACED])
    for row in [row for row in report.groups if row.n_wrong][:N_ROWS]:
        group = str(row.name)
        ids = [each for of_name in members.get(group, {}).values() for each in of_name]
        ids = [each for each in ids if each in misplaced][:N_PICTURES] + [
            each for each in ids if each not in misplaced
        ][:N_PICTURES]
        text = f"{group}: {row.n_wrong:,} of {row.n_images:,} do not show {row.character}, most of these {row.other}"
        found.append((text, [(each, group) for each in ids]))
    return found


def _rows(report: GroupEvaluation, shown: _Shown, members: Members) -> list[PictureRow]:
    """Rows of pictures; a group that no grouping of this plugin made is shown by the ids of its items."""
    store = LabelStore(report.target, report.group_field)
    ids = [item_id for _, pictures in shown for item_id, _ in pictures]
    files = file_paths(report.target.dataset, ids, report.target.patches_field)
    is_known = store.is_declared()

    def picture(item_id: str, group: str) -> Picture:
        own = () if is_known else [each for of_name in members[group].values() for each in of_name]
        return Picture(files[item_id], group, store.path, ids=own)

    return [PictureRow(text, [picture(*each) for each in pictures if each[0] in files]) for text, pictures in shown]
