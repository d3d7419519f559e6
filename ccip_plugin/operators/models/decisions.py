"""Operators: decisions of users as a file, saved by the browser and uploaded from it."""

import base64
import tempfile
from pathlib import Path
from typing import Any

from fiftyone.operators import types

from ...app import route, upload
from ...app.answers import whole_dataset
from ...app.ask.groups import ask_group_path, group_arguments, paths_in
from ...app.forms import Form, sentence
from ...app.operator import CCIPOperator, MissingAnswerError
from ...app.outputs import Output
from ...core.errors import CCIPError
from ...labels.decisions.exporting import DecisionsExport, export_decisions
from ...labels.decisions.importing import DecisionsImport, import_decisions

MAX_DOWNLOAD = 16 << 20
"""The largest file that is given to the browser."""
FILE_NAME = "ccip-decisions.json"


class LargeDownloadError(CCIPError):
    """A file is too large for the browser."""

    def __init__(self, n_bytes: int):
        super().__init__(
            f"the decisions take {n_bytes >> 20} MB, and the App gives at most {MAX_DOWNLOAD >> 20} MB to the browser: "
            "write them with 'ccip decisions export FILE --dataset NAME'"
        )


class ExportDecisions(CCIPOperator):
    """Saves the decisions as a file; see :func:`~ccip_plugin.labels.decisions.exporting.export_decisions`."""

    name, label, button = "export_decisions", "CCIP: save decisions as a file", "Save"
    description = "Save names, confirmed and ignored images, rejections, groups kept apart and covers as a file"
    risk, reloads = types.RiskLevel.LOW, False
    failure = "CCIP could not save the decisions"
    function = staticmethod(export_decisions)
    asks = route.asked(path=route.text, group_field=route.text, patches_field=route.text)

    def ask(self, form: Form) -> None:
        if ask_group_path(form, "There are no decisions") is not None:
            form.hint("what", f"Your browser saves {FILE_NAME}, which has the paths of the images.")

    def samples(self, ctx: Any) -> Any:
        return whole_dataset(ctx)

    def options(self, ctx: Any) -> dict[str, Any]:
        return {**group_arguments(ctx), "path": FILE_NAME}

    def call(self, samples: Any, progress: Any, **options: Any) -> tuple[DecisionsExport, bytes]:
        with tempfile.TemporaryDirectory() as folder:
            report = export_decisions(samples, progress=progress, **{**options, "path": Path(folder) / FILE_NAME})
            n_bytes = report.path.stat().st_size
            if n_bytes > MAX_DOWNLOAD:
                raise LargeDownloadError(n_bytes)
            return report, report.path.read_bytes()

    def show(self, report: tuple[DecisionsExport, bytes], out: Output) -> None:
        done, content = report
        out.facts(done.facts(), "CCIP: decisions")
        out.message = f"CCIP: your browser saves {FILE_NAME}"
        out.download = f"data:application/json;base64,{base64.b64encode(content).decode()}", FILE_NAME


class ImportDecisions(CCIPOperator):
    """Applies the decisions of a file; see :func:`~ccip_plugin.labels.decisions.importing.import_decisions`."""

    name, label, button = "import_decisions", "CCIP: apply decisions of a file", "Apply"
    description = "Apply names, confirmed and ignored images, rejections, groups kept apart and covers of a file"
    risk = types.RiskLevel.MEDIUM
    failure = "CCIP could not apply the decisions"
    function = staticmethod(import_decisions)
    asks = route.asked(
        path=route.text,
        group_field=route.text,
        patches_field=route.text,
        file=route.upload,
        overwrite=route.switch,
        dry_run=route.switch,
    )

    def ask(self, form: Form) -> None:
        if not form.has_dataset():
            return
        if len(paths_in(form.ctx)) > 1:
            ask_group_path(form, "There are no groups")
        view = types.FileView(max_size=upload.MAX_BYTES, types=".json", lite=True)
        asked = form.inputs.uploaded_file("file", label="File with decisions", view=view)
        sent = form.ctx.params.get("file")
        if sent and (problem := upload.problem_with(sent)):
            asked.invalid, asked.error_message = True, sentence(problem)
        elif not sent:
            form.needs("file", "Choose a file.")
        form.switch(
            "overwrite",
            "The file decides in conflicts",
            description="Else what users of this dataset decided stays; conflicts are listed",
        )
        form.switch("dry_run", "Only show what would change")

    def samples(self, ctx: Any) -> Any:
        return whole_dataset(ctx)

    def options(self, ctx: Any) -> dict[str, Any]:
        sent = ctx.params.get("file")
        if not sent:
            raise MissingAnswerError("file")
        switches = {name: ctx.params.get(name) is True for name in ("overwrite", "dry_run")}
        return {**group_arguments(ctx), **switches, "path": upload.content(sent)}

    def call(self, samples: Any, progress: Any, **options: Any) -> DecisionsImport:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / FILE_NAME
            file.write_bytes(options.pop("path"))
            return import_decisions(samples, file, progress=progress, **options)

    def show(self, report: DecisionsImport, out: Output) -> None:
        out.facts(report.facts(), "CCIP: decisions")
        out.clears_selection = report.is_done
