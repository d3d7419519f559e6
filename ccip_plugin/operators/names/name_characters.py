"""Operator: name groups after known characters."""

from typing import Any

from fiftyone.operators import types

from ...app import route, upload
from ...app.answers import number_of, text_of, whole_dataset
from ...app.ask import libraries
from ...app.ask.groups import ask_group_path, group_arguments, has_groups, path_arguments, whole_store
from ...app.ask.libraries import ask_groups, ask_labeled_dataset, ask_offered, labeled_dataset
from ...app.ask.models import MODEL_FOLDER, ask_model_folder
from ...app.forms import Form
from ...app.operator import CCIPOperator, MissingAnswerError
from ...app.outputs import MAX_ROWS, Output, Picture, PictureRow, file_paths
from ...core.errors import CCIPError
from ...core.options import Choice
from ...jobs.naming import name_characters
from ...labels.history import last_report
from ...labels.history.last_reports import ReportKind, keep_report
from ...library import load_library
from ...library.report import NamingReport, RowStatus

LIBRARY, UPLOAD, DATASET, FOLDER = "library", "upload", "dataset", "folder"
PROPOSE, ABOVE, CHOSEN = "propose", "above", "chosen"
SCORE = 0.7
PICTURE_ROWS, PICTURES = 12, 4
_ACTIONS = (
    Choice(PROPOSE, "Propose names", "Nothing is written; the result shows the images"),
    Choice(ABOVE, "Accept all proposals with at least a score", "One change, which can be undone"),
    Choice(CHOSEN, "Accept the proposals for some groups", "One change, which can be undone"),
)
_COLUMNS = {
    "group": "Group",
    "images": "Images",
    "name": "Name",
    "status": "Status",
    "score": "Score",
    "margin": "Margin",
    "nearest": "Nearest",
    "second": "Second nearest",
    "slips": "Estimated slips",
}


class NameCharacters(CCIPOperator):
    """Proposes and accepts names; see :func:`~ccip_plugin.jobs.naming.name_characters`."""

    name, label, button = "name_characters", "CCIP: name characters", "Run"
    description = "Propose names for groups from a character library, a labeled dataset or a folder; accept them"
    risk = types.RiskLevel.MEDIUM
    failure = "CCIP could not name characters"
    function = staticmethod(name_characters)
    asks = route.asked(
        path=route.text,
        group_field=route.text,
        patches_field=route.text,
        source=route.text,
        library=libraries.is_library_file,
        file=route.upload,
        dataset=route.text,
        references_field=route.text,
        folder=libraries.is_reference_folder,
        action=route.text,
        above=route.number,
        accept=route.names,
        images=route.switch,
        confirm=route.switch,
        **MODEL_FOLDER,
    )

    def ask(self, form: Form) -> None:
        path = ask_group_path(form, "There is nothing to name")
        if path is None or not has_groups(form, whole_store(form.ctx, **path_arguments(path))):
            return
        source = _ask_source(form)
        action = form.choose("action", "What to do", _ACTIONS, default=PROPOSE)
        if action == ABOVE:
            _ask_score(form)
        elif action == CHOSEN:
            ask_groups(form, path, "accept", "Groups", proposed=_proposed(form.ctx, path))
        form.switch("images", "Also images in no group", description="One row for each; an accepted one joins a group")
        if action != PROPOSE:
            form.switch("confirm", "Confirm the labels", description="Else accepted groups get a name only")
        if source in (DATASET, FOLDER):
            ask_model_folder(form)

    def samples(self, ctx: Any) -> Any:
        return whole_dataset(ctx)

    def options(self, ctx: Any) -> dict[str, Any]:
        action = text_of(ctx, "action") or PROPOSE
        options: dict[str, Any] = {name: True for name in ("images", "confirm") if ctx.params.get(name)}
        if action == ABOVE:
            score = number_of(ctx, "above")
            options["above"] = SCORE if score is None else score
        elif action == CHOSEN:
            if not ctx.params.get("accept"):
                raise MissingAnswerError("accept")
            options["accept"] = ctx.params["accept"]
        if text_of(ctx, "model_dir"):
            options["model_dir"] = text_of(ctx, "model_dir")
        return {**options, **_known(ctx), **group_arguments(ctx)}

    def show(self, report: NamingReport, out: Output) -> None:
        out.facts(report.facts(), self.label)
        noun = report.target.noun.removesuffix("s")
        rows = [{**row.as_dict(), "group": row.group or f"(one {noun})"} for row in report.rows[:MAX_ROWS]]
        out.table("rows", "Names, what to do next first", rows, _columns(rows))
        out.pictures("pictures", "The nearest image of each group and the least sure ones", _pictures(report, out.ctx))
        path = report.target.path(group_arguments(out.ctx)["group_field"])
        keep_report(report.target.dataset, ReportKind.NAMING, path, report.facts(), {"results": out.results()})
        rows_shown = report.accepted or report.proposed
        if rows_shown:
            out.show_view(report.view(rows_shown[:MAX_ROWS]), clears_selection=True)


def _columns(rows: list[dict[str, Any]]) -> dict[str, str]:
    """The columns that say something: the App cuts off the last ones of a wide table."""
    is_second = any(row["nearest"] != row["name"] for row in rows)
    said = {key for key in _COLUMNS if any(row.get(key) not in (None, "") for row in rows)}
    return {key: title for key, title in _COLUMNS.items() if key in said and (key != "nearest" or is_second)}


def _proposed(ctx: Any, path: str) -> dict[str, str]:
    """What the last naming has proposed, by the names of the groups; its result may be closed."""
    try:
        rows = last_report(ctx.dataset, f"{ReportKind.NAMING} of {path}").content["results"]["rows"]
        proposed = [row for row in rows if row["status"] == RowStatus.PROPOSED]
        return {str(row["group"]): f"proposed: {row['name']}, score {row['score']}" for row in proposed}
    except (CCIPError, LookupError, TypeError):  # none was made, or another version kept it
        return {}


def _pictures(report: NamingReport, ctx: Any) -> list[PictureRow]:
    """The rows of groups with pictures, what to do next first."""
    rows = [row for row in report.rows if row.group is not None and row.status != RowStatus.HAS_NAME][:PICTURE_ROWS]
    ids = {row.group_id: list(dict.fromkeys([row.item_id, *row.least_sure]))[:PICTURES] for row in rows}
    target, path = report.target, report.target.path(group_arguments(ctx)["group_field"])
    files = file_paths(target.dataset, [each for of_row in ids.values() for each in of_row], target.patches_field)
    shown = []
    for row in rows:
        name = row.name if row.is_accepted else row.group
        text = f"{row.group}: {row.name}, {row.status}, score {row.score:.2f}"
        pictures = [Picture(files[each], name or "", path) for each in ids[row.group_id] if each in files]
        shown.append(PictureRow(text, pictures))
    return shown


# -- where the names are from


def _ask_source(form: Form) -> str | None:
    choices = [
        Choice(LIBRARY, "A character library on the server"),
        Choice(UPLOAD, "A character library to upload"),
        Choice(DATASET, "A labeled dataset"),
        Choice(FOLDER, "A folder of images by character"),
    ]
    offered = libraries.library_files()
    source = form.choose("source", "Names from", choices, default=LIBRARY if offered else UPLOAD)
    if source == LIBRARY:
        ask_offered(form, "library", "Library", offered, "There is no character library")
    elif source == UPLOAD:
        view = types.FileView(max_size=upload.MAX_BYTES, types=".zip", lite=True)
        asked = form.inputs.uploaded_file("file", label="Library (.ccip.zip)", view=view)
        sent = form.ctx.params.get("file")
        if sent and (problem := upload.problem_with(sent)):
            asked.invalid, asked.error_message = True, problem
        elif not sent:
            form.needs("file", "Choose a file.")
    elif source == DATASET:
        ask_labeled_dataset(form)
    elif source == FOLDER:
        ask_offered(form, "folder", "Folder", libraries.reference_folders(), "There is no folder of references")
    return source


def _known(ctx: Any) -> dict[str, Any]:
    """The references or the library that were chosen; a script may give them itself."""
    is_library = bool(text_of(ctx, "library") or libraries.library_files())
    source = text_of(ctx, "source") or (LIBRARY if is_library else UPLOAD)
    if source == DATASET:
        return labeled_dataset(ctx)
    if source == FOLDER:
        folder = text_of(ctx, "folder") or next(iter(libraries.reference_folders()), None)
        return {"references": _needed("folder", folder)}
    if source == UPLOAD:
        if not ctx.params.get("file"):
            raise MissingAnswerError("file")
        return {"library": load_library(upload.content(ctx.params["file"]))}
    library = text_of(ctx, "library") or next(iter(libraries.library_files()), None)
    return {"library": _needed("library", library)}


def _needed(name: str, answer: str | None) -> str:
    if answer is None:
        raise MissingAnswerError(name)
    return answer


# -- what is accepted


def _ask_score(form: Form) -> None:
    score = number_of(form.ctx, "above")
    is_number = isinstance(score, int | float) and not isinstance(score, bool) and 0 <= score <= 1
    problem = None if score is None or is_number else "A number from 0 to 1 is expected"
    text = "0.5 at the limit, 1 for no difference. The proposal lists the scores and the estimated slips"
    form.number("above", "Smallest score", default=SCORE, description=text, problem=problem)
