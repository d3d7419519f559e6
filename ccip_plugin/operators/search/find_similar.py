"""Operator: the images, or detections, most similar to others."""

from pathlib import Path
from typing import Any

from fiftyone.operators import types

from ...app import route, upload
from ...app.answers import number_of, text_of
from ...app.ask.embeddings import ask_embeddings
from ...app.ask.groups import ask_group
from ...app.ask.models import MODEL_FOLDER
from ...app.forms import Form, field_description, sentence
from ...app.operator import CCIPOperator
from ...app.outputs import Output, file_paths
from ...app.selection import selected_ids
from ...core.options import Choice
from ...labels.store import LabelStore
from ...search.difference_field import field_problem
from ...search.similar import QueryError, Similar, find_similar

SELECTED, GROUP, UPLOAD = "ticked", "group", "upload"
DIFFERENCE_FIELD = "ccip_difference"
FILES = ".png,.jpg,.jpeg,.webp,.gif,.bmp,.tif,.tiff,.avif"
N_ROWS = 20
COMBINE = (Choice("mean", "By the mean difference to all"), Choice("nearest", "By the difference to the nearest"))


class FindSimilar(CCIPOperator):
    """Shows similar items; see :func:`~ccip_plugin.search.similar.find_similar`."""

    name, label, button = "find_similar", "CCIP: find similar", "Find"
    description = "Show the images, or detections, most similar to the selected ones, to a character group or to a file"
    risk = types.RiskLevel.MEDIUM
    failure = "CCIP could not find similar images"
    function = staticmethod(find_similar)
    asks = route.asked(
        patches_field=route.text,
        embeddings_field=route.text,
        look_for=route.text,
        group=route.text,
        image=route.upload,
        combine=route.text,
        limit=route.number,
        only_same=route.switch,
        is_written=route.switch,
        difference_field=route.text,
        **MODEL_FOLDER,
    )
    parameters = (
        *("combine", "limit", "only_same", "threshold", "ids", "images", "embeddings_field", "group_field"),
        *("model_dir", "revision", "provider", "max_pixels"),
    )

    def ask(self, form: Form) -> None:
        if form.ask_target("Search") is None:
            return
        embeddings = ask_embeddings(form, without="cannot be found")
        if embeddings is not None:
            if not _is_named(form.ctx):
                self._ask_query(form)
            self._ask_result(form, embeddings.published.threshold)

    def options(self, ctx: Any) -> dict[str, Any]:
        options = super().options(ctx)
        if "limit" in options:
            options["limit"] = int(options["limit"])  # numbers of a form may arrive as floats
        if ctx.params.get("is_written", "difference_field" in ctx.params):
            options["difference_field"] = text_of(ctx, "difference_field") or DIFFERENCE_FIELD
        if _is_named(ctx):
            return options
        ids = selected_ids(ctx, self.samples(ctx), options["patches_field"])
        kind = _query_kind(ctx, ids)
        if kind == GROUP and not ctx.params.get("group"):
            raise QueryError("choose a character group")
        if kind == UPLOAD:
            return {**options, "images": upload.content(ctx.params.get("image"))}
        return {**options, "group": ctx.params.get("group")} if kind == GROUP else {**options, "ids": ids}

    def show(self, report: Similar, out: Output) -> None:
        out.facts(report.facts(), "CCIP: similar images")
        out.is_clean, out.reloads = bool(report.ids), report.difference_field is not None
        out.table(
            "found",
            f"The first {min(N_ROWS, len(report.ids))}",
            _rows(report),
            {"image": "Image", "difference": "Difference", "verdict": "Result"},
        )
        if report.ids:
            out.show_view(report.view, clears_selection=True)

    def _ask_query(self, form: Form) -> None:
        """Asks for the images to compare with."""
        ids = selected_ids(form.ctx, form.target.view, form.target.patches_field)
        noun = "patches or labels" if form.target.is_patches else "samples"
        choices = [
            Choice(SELECTED, f"Selected {noun} ({len(ids):,})", "also the opened sample"),
            Choice(GROUP, "A character group"),
            Choice(UPLOAD, "An image file", "of one character; it need not be in the dataset"),
        ]
        group_field = text_of(form.ctx, "group_field") or self.default("group_field")
        has_groups = LabelStore(form.target, group_field).exists()
        kind = _query_kind(form.ctx, ids, otherwise=GROUP if has_groups else UPLOAD)
        form.choose("look_for", "Search by", choices, default=kind)
        if kind == GROUP:
            _ask_group(form, group_field)
        elif kind == UPLOAD:
            _ask_upload(form)
        elif not ids:
            form.error("selection", _how_to_select(form))
        if kind == GROUP or (kind == SELECTED and len(ids) > 1):
            form.choose("combine", "Sort", COMBINE, default=self.default("combine"), is_list=True, is_half=True)

    def _ask_result(self, form: Form, threshold: float) -> None:
        limit = number_of(form.ctx, "limit")
        is_valid = limit is None or (isinstance(limit, int | float) and limit == int(limit) and limit >= 1)
        problem = None if is_valid else "A whole number, 1 or more"
        default = self.default("limit")
        form.number("limit", "Show at most", kind=int, default=default, is_half=True, problem=problem)
        form.switch("only_same", f"Only the same character (difference up to {threshold:.4f})")
        is_written = form.switch(
            "is_written",
            "Write the differences into a field",
            description="Off: nothing is written; the differences are listed in the result",
        )
        if is_written:
            name = text_of(form.ctx, "difference_field") or DIFFERENCE_FIELD
            problem = field_problem(form.target, name)
            form.text(
                "difference_field",
                "Field",
                default=DIFFERENCE_FIELD,
                description=field_description(form.target),
                problem=problem and sentence(problem),
            )


def _is_named(ctx: Any) -> bool:
    """Whether a script names the images to compare with."""
    return bool(ctx.params.get("ids") or ctx.params.get("images"))


def _query_kind(ctx: Any, ids: list[str], otherwise: str = UPLOAD) -> str:
    """The answer, else what is given; ``otherwise`` when nothing is."""
    if answer := text_of(ctx, "look_for"):
        return answer
    if ctx.params.get("group"):
        return GROUP
    if ctx.params.get("image"):
        return UPLOAD
    return SELECTED if ids else otherwise


def _how_to_select(form: Form) -> str:
    if not form.target.is_patches:
        return "No sample is selected: select one or several."
    patches = f"the patches of {form.target.patches_field!r}"
    return f"No detection is selected: show {patches} and select some, or select labels in an opened sample."


def _ask_group(form: Form, field: str) -> None:
    store = LabelStore(form.target, field)
    if not store.exists():
        form.error("group", f"There are no character groups in {field!r} yet. Run 'CCIP: group by character' first.")
        return
    ask_group(form, store, "group", "Character group")


def _ask_upload(form: Form) -> None:
    view = types.FileView(max_size=upload.MAX_BYTES, types=FILES, lite=True)
    asked = form.inputs.uploaded_file("image", label="Image file", view=view)
    sent = form.ctx.params.get("image")
    if sent and (problem := upload.problem_with(sent)):
        asked.invalid, asked.error_message = True, problem


def _rows(report: Similar) -> list[dict[str, str]]:
    ids = report.ids[:N_ROWS]
    paths = file_paths(report.target.dataset, ids, report.target.patches_field)
    return [
        {
            "image": Path(paths.get(item_id, item_id)).name,
            "difference": f"{difference:.4f}",
            "verdict": report.verdict(place),
        }
        for place, (item_id, difference) in enumerate(zip(ids, report.differences.astype(float), strict=False))
    ]
