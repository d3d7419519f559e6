"""Operator: save the named characters of a dataset as a library."""

from pathlib import Path
from typing import Any

from fiftyone.operators import types

from ...app import route
from ...app.answers import given, text_of, whole_dataset
from ...app.ask import libraries
from ...app.ask.groups import ask_group_path, group_arguments
from ...app.ask.models import MODEL_FOLDER, ask_model_folder
from ...app.forms import Form
from ...app.operator import CCIPOperator, MissingAnswerError
from ...app.outputs import Output
from ...core.options import Choice
from ...library import LibraryReport, save_library


class SaveLibrary(CCIPOperator):
    """Saves a character library; see :func:`~ccip_plugin.library.saving.save_library`."""

    name, label, button = "save_library", "CCIP: save the library", "Save"
    description = "Save the named characters of the dataset as a file that can be shared, without images"
    risk = types.RiskLevel.MEDIUM
    failure = "CCIP could not save the library"
    function = staticmethod(save_library)
    reloads = False
    asks = route.asked(
        path=route.text,
        group_field=route.text,
        patches_field=route.text,
        folder=libraries.is_app_folder,
        file_name=route.text,
        all_images=route.switch,
        thumbnails=route.switch,
        series=route.text,
        **MODEL_FOLDER,
    )
    parameters = ("all_images", "thumbnails", "series", "model_dir")

    def ask(self, form: Form) -> None:
        if ask_group_path(form, "There is nothing to save") is None:
            return
        offered = libraries.app_folders()
        if not offered:
            form.error("folder", f"There is no folder for libraries. {libraries.HOW}")
            return
        choices = [Choice(folder, folder) for folder in offered]
        folder = form.choose("folder", "Folder", choices, default=offered[0], is_list=True)
        name = text_of(form.ctx, "file_name")
        problem = _problem(folder, name)
        form.text("file_name", "Name of the file", default=form.ctx.dataset.name, problem=problem)
        form.text("series", "Series", description="What the characters are from, if it is one series")
        form.switch(
            "all_images",
            "Use all images of a group",
            description="By default only confirmed ones; groups without a name are left out in any case",
        )
        form.switch(
            "thumbnails",
            "With thumbnails",
            description="A small image of each character goes into the file, and to whoever gets it",
        )
        ask_model_folder(form)

    def samples(self, ctx: Any) -> Any:
        return whole_dataset(ctx)

    def options(self, ctx: Any) -> dict[str, Any]:
        folder = text_of(ctx, "folder") or next(iter(libraries.app_folders()), None)
        if folder is None:
            raise MissingAnswerError("folder")
        name = text_of(ctx, "file_name") or ctx.dataset.name
        if libraries.name_problem(name):
            raise MissingAnswerError("file_name")
        if folder == libraries.default_folder():
            Path(folder).mkdir(exist_ok=True)
        file = Path(folder) / f"{name.removesuffix(libraries.LIBRARY_ENDING)}{libraries.LIBRARY_ENDING}"
        return {**given(ctx, self.parameters), **group_arguments(ctx), "path": file}

    def show(self, report: LibraryReport, out: Output) -> None:
        out.facts(report.facts(), self.label)
        rows = [
            {
                "name": character.name,
                "series": character.series or "",
                "prototypes": len(character.prototypes),
                "images": int(character.counts.sum()),
            }
            for character in report.library.characters
        ]
        out.table("characters", "Characters", rows[:100])


def _problem(folder: str | None, name: str | None) -> str | None:
    if name is None:
        return None
    if problem := libraries.name_problem(name):
        return problem
    file = Path(folder or "") / f"{name.removesuffix(libraries.LIBRARY_ENDING)}{libraries.LIBRARY_ENDING}"
    return "A file of this name exists: choose another one" if file.exists() else None
