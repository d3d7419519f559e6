"""Operator: the new images of a folder, into existing groups."""

from typing import Any

from fiftyone.operators import types

from ...app import route
from ...app.answers import given, text_of
from ...app.ask.folders import allowed_folders, check_folder, listed_folders
from ...app.ask.models import MODEL_FOLDER, ask_model_folder
from ...app.forms import Form, sentence
from ...app.operator import CCIPOperator, MissingAnswerError
from ...app.outputs import Output
from ...core.errors import CCIPError
from ...jobs.new_images import AdditionReport, add_and_group


class AddAndGroup(CCIPOperator):
    """Adds, embeds and groups new images; see :func:`~ccip_plugin.jobs.new_images.add_and_group`."""

    name, label, button = "add_and_group", "CCIP: add images and group them", "Add"
    description = "Add the new images of a folder, embed them and put them into the groups; no other label changes"
    risk = types.RiskLevel.MEDIUM
    failure = "CCIP could not add the images"
    function = staticmethod(add_and_group)
    asks = route.asked(
        folder=route.text,
        recursive=route.switch,
        advanced=route.switch,
        embeddings_field=route.text,
        group_field=route.text,
        **MODEL_FOLDER,
    )
    is_delegable = True

    def ask(self, form: Form) -> None:
        if not form.has_dataset():
            return
        folder = _ask_folder(form)
        form.switch("recursive", "With its subfolders", default=True)
        ask_model_folder(form)
        if form.switch("advanced", "Advanced"):
            for name, label in (("embeddings_field", "Embeddings field"), ("group_field", "Group field")):
                form.text(name, label, default=self.default(name), is_half=True)
        if folder is not None:
            form.hint("what", "Files that are in the dataset already are not added again. No other label changes.")

    def samples(self, ctx: Any) -> Any:
        return ctx.dataset

    def options(self, ctx: Any) -> dict[str, Any]:
        folder = text_of(ctx, "folder") or text_of(ctx, "paths")  # as a call from Python names it
        if folder is None:
            raise MissingAnswerError("folder")
        check_folder(folder, allowed_folders(ctx.dataset))
        names = ("recursive", "model_dir", "model_name", "embeddings_field", "group_field")
        return {"folder": folder, **given(ctx, names)}

    def call(self, samples: Any, progress: Any, **options: Any) -> AdditionReport:
        return add_and_group(samples, options.pop("folder"), progress=progress, **options)

    def show(self, report: AdditionReport, out: Output) -> None:
        out.facts(report.facts(), "CCIP: images added")
        out.is_clean = out.is_clean and not (report.embeddings and report.embeddings.n_failed)
        if report.ids:
            out.show_view(report.view, clears_selection=True)


def _ask_folder(form: Form) -> str | None:
    """Asks for a folder on the server; None without one that can be read."""
    allowed = allowed_folders(form.ctx.dataset)
    choices = types.AutocompleteView(allow_user_input=True)
    for each in listed_folders(allowed):
        choices.add_choice(each, label=each)
    asked = form.inputs.str(
        "folder", label="Folder with images", view=choices, description=f"On the server, inside {', '.join(allowed)}"
    )
    folder = text_of(form.ctx, "folder")
    if folder is None:
        return None
    try:
        check_folder(folder, allowed)
    except CCIPError as error:
        asked.invalid, asked.error_message = True, sentence(error)
        return None
    return folder
