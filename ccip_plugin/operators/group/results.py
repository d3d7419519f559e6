"""What the App shows of a grouping and of a proposal: pictures row by row, what to do next first."""

from collections.abc import Iterable, Sequence
from typing import Any

from ...app.ask.groups import path_arguments, whole_store
from ...app.outputs import CLICKED_ITEMS, MAX_ROWS, Output, Picture, PictureRow, file_paths
from ...grouping.charts import size_chart
from ...grouping.proposals import load_proposal
from ...grouping.report import GroupingReport, GroupShape, describe_group_change, nearest_pairs, next_steps
from ...labels.edits.proposed import NoProposalError, ProposedRow
from ...labels.views import examples

N_ROWS, N_PICTURES = 8, 3
"""Rows of pictures, and pictures of each group in a row."""
_MERGED = "merged"

COLUMNS = {
    "group": "Group",
    "n": "Images",
    "next": "What to do next",
    "rival": "Nearest other group",
    "apart": "Mean difference to it",
    "cohesion": "Mean difference inside",
    "diameter": "Largest difference inside",
}


def show_report(report: GroupingReport, out: Output) -> None:
    """Shows a grouping, or a proposal that was applied; of one that adds, the new items in the grid."""
    out.facts(report.facts(), "CCIP: character groups")
    if report.added is not None and report.added.n_items and len(report.added.ids):
        out.show_view(report.added.view(out.ctx.dataset, report.patches_field))
    if report.proposal_key is None:
        pairs = nearest_pairs(report, N_ROWS)
        out.pictures("pairs", "Likely the same character? A click shows the group", _pair_rows(report, pairs, out))
    else:
        show_proposed(report.group_field, out)
    changes = [
        {"group": change.name, "change": describe_group_change(change), "n": f"{change.n_items:,}"}
        for change in report.groups[:MAX_ROWS]
    ]
    out.table("groups", "Changed groups", changes, {"group": "Group", "change": "Change", "n": "Images"})
    if report.sizes:
        out.chart(size_chart(report.sizes))
    steps = next_steps(report)
    if report.proposal_key is None:
        out.pictures("examples", "The groups to look at next. A click shows the group", _group_rows(report, steps, out))
    rows = [_row(shape, question) for shape, question in steps[:MAX_ROWS]]
    out.table("shapes", f"Groups, those to look at first on top, up to {MAX_ROWS}", rows, COLUMNS)


def show_proposed(path: str, out: Output) -> None:
    """Shows the rows of the proposal of a field with pictures, merges first; nothing without a proposal."""
    try:
        proposal = load_proposal(out.ctx.dataset, **path_arguments(path))
    except NoProposalError:
        return
    rows = sorted(proposal.rows, key=lambda row: row.kind != _MERGED)[:N_ROWS]
    noun, patches_field = proposal.store.target.noun.removesuffix("s"), proposal.store.target.patches_field
    shown = {row.number: row.ids[:N_PICTURES] for row in rows}
    files = file_paths(out.ctx.dataset, [each for ids in shown.values() for each in ids], patches_field)
    of_targets = _examples(path, (row.target for row in rows if row.target is not None and not row.is_new), out)
    label = "Proposed changes, by rows. A click shows the images, or the group that they come to"
    out.pictures(
        "proposed",
        label,
        [
            PictureRow(
                f"{row.number}: {row.text(noun)}",
                [
                    *(_moved(row, files[each], path) for each in shown[row.number] if each in files),
                    *(
                        Picture(file, row.target_name or "", path, row.target)
                        for file in of_targets.get(row.target or 0, ())
                    ),
                ],
            )
            for row in rows
        ],
    )


def _moved(row: ProposedRow, file: str, path: str) -> Picture:
    """A picture of what a row moves: a click shows these items, or the whole group where it is all of them."""
    is_group = row.kind == _MERGED or (row.source is not None and len(row.ids) > CLICKED_ITEMS)
    if is_group:
        return Picture(file, row.source_name or "", path, row.source)
    return Picture(file, row.source_name or "", path, ids=row.ids)


def _pair_rows(report: GroupingReport, pairs: Sequence[GroupShape], out: Output) -> list[PictureRow]:
    """A row with pictures of both groups for each likely pair."""
    names = {shape.group_id: shape.name for shape in pairs}
    names |= {shape.rival_id or 0: shape.rival or "" for shape in pairs}
    files = _examples(report.group_field, names, out)
    return [
        PictureRow(
            f"{shape.name} ({shape.n_items:,}) and {shape.rival}: mean difference {shape.apart:.3f}",
            [
                Picture(file, names[group_id], report.group_field, group_id)
                for group_id in (shape.group_id, shape.rival_id or 0)
                for file in files.get(group_id, ())
            ],
        )
        for shape in pairs
    ]


def _group_rows(report: GroupingReport, steps: Sequence[tuple[GroupShape, str]], out: Output) -> list[PictureRow]:
    """A row with pictures for each of the first groups that are in no likely pair."""
    in_pairs = {each for pair in nearest_pairs(report, MAX_ROWS) for each in (pair.group_id, pair.rival_id)}
    chosen = [(shape, question) for shape, question in steps if shape.group_id not in in_pairs][:N_ROWS]
    files = _examples(report.group_field, (shape.group_id for shape, _ in chosen), out)
    return [
        PictureRow(
            f"{shape.name}: {shape.n_items:,} {report.noun}{f', {question}' if question else ''}",
            [Picture(file, shape.name, report.group_field, shape.group_id) for file in files[shape.group_id]],
        )
        for shape, question in chosen
    ]


def _examples(path: str, group_ids: Iterable[int], out: Output) -> dict[int, list[str]]:
    chosen = list(dict.fromkeys(group_ids))
    return examples(whole_store(out.ctx, **path_arguments(path)), chosen, N_PICTURES) if chosen else {}


def _row(shape: GroupShape, question: str) -> dict[str, Any]:
    numbers = {"cohesion": shape.cohesion, "diameter": shape.diameter, "apart": shape.apart}
    texts = {name: "" if number is None else f"{number:.3f}" for name, number in numbers.items()}
    return {"group": shape.name, "n": f"{shape.n_items:,}", "next": question, "rival": shape.rival or "", **texts}
