"""The panel to review groups: registered here, drawn by the component in ``ui/``."""

import functools
import hashlib
from pathlib import Path
from typing import Any

import fiftyone.operators as foo
from fiftyone.operators import types
from fiftyone.operators.categories import Categories

from ..app.operator import ICONS

COMPONENT = "CCIPCharacterReview"
"""The name under which the component registers itself."""
OPERATOR = "@ccip/characters/review"
"""The operator by which it reaches the server."""
_FOLDER = Path(__file__).resolve().parents[2] / "ui"


class ReviewCharacters(foo.Panel):
    """Groups, questions and progress; the component keeps its own state, and asks the operator for everything."""

    name = "review_characters"
    outdated: str | None = None  # after an update of this plugin; the operator says so

    @property
    def config(self) -> foo.PanelConfig:
        return foo.PanelConfig(
            name=self.name,
            label="Review characters",
            surfaces="grid",
            category=Categories.CURATE,
            help_markdown="Review character groups: correct them, answer questions about them, name them.",
            **ICONS,
        )

    def render(self, ctx: Any) -> types.Property:
        view = types.View(
            component=COMPONENT,
            composite_view=True,
            operator=OPERATOR,
            sources_hash=sources_hash(),
        )
        return types.Property(types.Object(), view=view)


@functools.cache
def sources_hash(folder: Path = _FOLDER) -> str | None:
    """The SHA-256 of the sources of the component, as its bundle has it; None where they are not there.

    Args:
        folder: the folder of the component
    """
    sources = [path for path in (folder / "src").glob("*") if path.is_file()]
    files = [folder / "build.mjs", folder / "package-lock.json", *sources]
    if not sources or not all(path.is_file() for path in files):
        return None
    digest = hashlib.sha256()
    for name, path in sorted((path.relative_to(folder).as_posix(), path) for path in files):
        digest.update(name.encode() + b"\0" + path.read_bytes().replace(b"\r\n", b"\n") + b"\0")
    return digest.hexdigest()
