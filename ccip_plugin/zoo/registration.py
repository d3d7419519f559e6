"""Makes the models of this plugin known to FiftyOne's model zoo, by their bare names, without network."""

import contextlib
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import fiftyone as fo
import fiftyone.zoo.models as fozm

from ..core.errors import CCIPError
from ..core.registry import DEFAULT_MODEL, MODELS
from ..core.system import atomic_write
from ..reports.facts import Facts
from .source import RECORD, SOURCE_NAME, manifest_text, read_record, version_in

logger = logging.getLogger(__name__)

PACKAGE = Path(__file__).resolve().parents[1]
_NAME = "ccip_plugin"
_HOOKS = f'''"""Made by register_model: hands FiftyOne's model zoo over to the plugin beside it."""

from .{_NAME}.zoo import download_model, load_model, parse_parameters, resolve_input

__all__ = ["download_model", "load_model", "parse_parameters", "resolve_input"]
'''
_NOT_COPIED = shutil.ignore_patterns("__pycache__", "*.pyc")


class RegistrationError(CCIPError, RuntimeError):
    """The models cannot be made known to the model zoo, or not be taken out of it."""


@dataclass(frozen=True)
class Registration:
    """How the models are known to the model zoo.

    Attributes:
        folder: the folder in ``fiftyone.config.model_zoo_dir``
        version: of the code there, None when it is not to be found
        package: the code that it leads to
        is_linked: whether it is a link to that code, which so is always the present one, and not a copy
        is_ours: whether :func:`register_model` made it; otherwise it was downloaded as a source of the zoo
        is_current: whether it is what :func:`register_model` would make now
        is_new: whether it was made, or made anew, by this call
        models: the names of the models
        default_model: the one to begin with
    """

    folder: Path
    version: str | None
    package: Path
    is_linked: bool
    is_ours: bool
    is_current: bool
    is_new: bool = False
    models: tuple[str, ...] = tuple(MODELS)
    default_model: str = DEFAULT_MODEL

    def facts(self, *, is_removed: bool = False) -> Facts:
        """The registration as text.

        Args:
            is_removed (False): whether it was just removed
        """
        state = "removed" if is_removed else "registered" if self.is_new else "already registered"
        return Facts.of(
            f"models {state}",
            [
                ("State", state),
                ("Folder", str(self.folder)),
                ("Code", f"{'link to' if self.is_linked else 'copy of'} {self.package}"),
                ("Version", self.version),
                ("Models", ", ".join(self.models)),
                ("In Python", None if is_removed else f'foz.load_zoo_model("{self.default_model}")'),
            ],
        )


def register_model(*, copy: bool = False, overwrite: bool = False) -> Registration:
    """Makes all CCIP models known to FiftyOne's model zoo, on this machine.

    ``foz.load_zoo_model("ccip-caformer-24-randaug-pruned")``, the methods of the brain and the App then find them by
    name, in every process. A folder is put into ``fiftyone.config.model_zoo_dir`` that links to this code, or has a
    copy of it where the system allows no links. A copy is brought up to date by calling this again; loading a model
    from one that is not says so. Nothing is downloaded, and where everything is in place nothing is done.

    Args:
        copy (False): copy even where links are possible
        overwrite (False): replace a source of that name that was downloaded and is of another version

    Returns:
        a :class:`Registration`

    Raises:
        RegistrationError: the folder cannot be written, or something else is there
    """
    found = find_registration()
    if found is not None and not found.is_ours and not overwrite:
        if found.is_current:
            return found
        raise RegistrationError(
            f"{found.folder} is a source of models of version {found.version or 'unknown'} that register_model did not "
            f"make; this is {version_in(PACKAGE)}. Delete it (foz.delete_zoo_model_source), or pass overwrite=True"
        )
    if found is not None and found.is_ours and found.is_current and not (copy and found.is_linked):
        return found
    with _problems(_folder()):
        _make(_folder(), copy)
        made = find_registration()
    if made is None:
        raise RegistrationError(f"{_folder()} was deleted while it was being made; try again")
    return replace(made, is_new=True)


def unregister_model() -> Registration | None:
    """Takes back what :func:`register_model` did. Downloaded model files stay where they are.

    Returns:
        what was taken away, None when there was nothing

    Raises:
        RegistrationError: the source was not made by :func:`register_model`, or cannot be deleted
    """
    found = find_registration()
    if found is None:
        return None
    if not found.is_ours:
        raise RegistrationError(
            f"{found.folder} was not made by register_model; foz.delete_zoo_model_source deletes downloaded sources"
        )
    with _problems(found.folder):
        shutil.rmtree(found.folder)  # links in it are deleted, not followed
    _forget_manifests()
    return found


def find_registration() -> Registration | None:
    """How the models are known to the model zoo now, None when they are not."""
    folder = _folder()
    if not os.path.lexists(folder):
        return None
    record = read_record(folder) if folder.is_dir() else None
    package = (folder / _NAME).resolve()
    version = version_in(package)
    if record is None:
        is_current = version is not None and version == version_in(PACKAGE)
        return Registration(folder, version, package, folder.is_symlink(), False, is_current)
    is_linked = record["is_linked"]
    is_same_code = package == PACKAGE if is_linked else record["digest"] == _digest(PACKAGE)
    is_same_files = all(_text(folder / name) == text for name, text in _files().items())
    return Registration(folder, version, package, is_linked, True, is_same_code and is_same_files)


def _folder() -> Path:
    return Path(fo.config.model_zoo_dir) / SOURCE_NAME


def _files() -> dict[str, str]:
    return {"__init__.py": _HOOKS, "manifest.json": manifest_text()}


def _make(folder: Path, copy: bool) -> None:
    """Writes the folder that FiftyOne's model zoo finds."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(folder) as part:
        part.mkdir()
        for name, text in _files().items():
            (part / name).write_text(text, encoding="utf-8")
        (part / RECORD).write_text(json.dumps(_put_code(part / _NAME, copy), indent=4) + "\n", encoding="utf-8")
    _forget_manifests()


def _put_code(place: Path, copy: bool) -> dict[str, Any]:
    """Links or copies the package; gives what to note about it."""
    is_linked = not copy and _link(place)
    if not is_linked:
        shutil.copytree(PACKAGE, place, ignore=_NOT_COPIED)
    return {
        "version": version_in(PACKAGE),
        "package": str(PACKAGE),
        "is_linked": is_linked,
        "digest": None if is_linked else _digest(PACKAGE),
    }


def _link(place: Path) -> bool:
    try:
        place.symlink_to(PACKAGE, target_is_directory=True)
    except (OSError, NotImplementedError) as error:
        logger.info("no links in %s (%s): copying", place.parent.parent, error)
        return False
    return True


def _digest(package: Path) -> str:
    """A hash of all files of a package, by their names and contents."""
    digest = hashlib.sha256()
    for path in sorted(path for path in package.rglob("*") if path.is_file() and path.suffix != ".pyc"):
        digest.update(f"{path.relative_to(package).as_posix()}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


def _forget_manifests() -> None:
    """FiftyOne may remember the manifests that it has read, if it was configured to."""
    forget = getattr(fozm, "_invalidate_zoo_models_manifest", None)
    if forget is not None:
        forget()


@contextlib.contextmanager
def _problems(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RegistrationError(
            f"cannot write {folder}: {error.strerror or error}; FIFTYONE_MODEL_ZOO_DIR names another folder"
        ) from error
