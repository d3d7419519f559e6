"""Registers the models of this plugin in FiftyOne's model zoo, by their plain names, without network."""

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

from ..core.errors import CCIPError
from ..core.registry import DEFAULT_MODEL, MODELS
from ..core.system import atomic_write
from ..reports.facts import Facts
from ..storage.internals import forget_zoo_manifests
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
    """The models cannot be registered in the model zoo or removed from it."""


@dataclass(frozen=True)
class Registration:
    """The registration of the models in the model zoo.

    Attributes:
        folder: the folder in ``fiftyone.config.model_zoo_dir``
        version: the version of its code, None when that is missing
        package: the folder of its code
        is_linked: whether the code is linked, and so always current, instead of copied
        is_ours: whether :func:`register_model` created it; False for a downloaded source of the zoo
        is_current: whether it is the same as :func:`register_model` would create now
        is_new: whether this call created or replaced it
        is_removed: whether this call removed it
        models: the names of the models
        default_model: the name of the default model
    """

    folder: Path
    version: str | None
    package: Path
    is_linked: bool
    is_ours: bool
    is_current: bool
    is_new: bool = False
    is_removed: bool = False
    models: tuple[str, ...] = tuple(MODELS)
    default_model: str = DEFAULT_MODEL

    def facts(self, *, is_removed: bool = False) -> Facts:
        """The registration as text.

        Args:
            is_removed (False): whether it was just removed
        """
        is_removed = is_removed or self.is_removed
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

    def __str__(self) -> str:
        return str(self.facts(is_removed=self.is_removed))


def register_model(*, copy: bool = False, overwrite: bool = False) -> Registration:
    """Registers all CCIP models in FiftyOne's model zoo on this machine.

    ``foz.load_zoo_model("ccip-caformer-24-randaug-pruned")``, the methods of the brain and the App then find them by
    name, in every process. This creates a folder in ``fiftyone.config.model_zoo_dir`` with a link to this code, or a
    copy of it where the system does not allow links. Call it again to update a copy; loading a model from an outdated
    copy logs a warning. Nothing is downloaded, and a current registration is left unchanged.

    Args:
        copy (False): copy the code even where links are possible
        overwrite (False): replace a downloaded source of this name and another version

    Returns:
        a :class:`Registration`

    Raises:
        RegistrationError: the folder cannot be written, or holds another source
    """
    existing = find_registration()
    if existing is not None and not existing.is_ours and not overwrite:
        if existing.is_current:
            return existing
        raise RegistrationError(
            f"{existing.folder} is a source of models of version {existing.version or 'unknown'} that register_model "
            f"did not create; this is {version_in(PACKAGE)}. Delete it (foz.delete_zoo_model_source), or pass "
            "overwrite=True"
        )
    if existing is not None and existing.is_ours and existing.is_current and not (copy and existing.is_linked):
        return existing
    with _write_errors(_folder()):
        _create(_folder(), copy)
        created = find_registration()
    if created is None:
        raise RegistrationError(f"{_folder()} was deleted by another process; try again")
    return replace(created, is_new=True)


def unregister_model() -> Registration | None:
    """Removes the registration by :func:`register_model`. Downloaded model files are kept.

    Returns:
        the removed registration, None when there was none

    Raises:
        RegistrationError: the source was not created by :func:`register_model`, or cannot be deleted
    """
    existing = find_registration()
    if existing is None:
        return None
    if not existing.is_ours:
        raise RegistrationError(
            f"{existing.folder} was not created by register_model; delete a downloaded source with "
            "foz.delete_zoo_model_source"
        )
    with _write_errors(existing.folder):
        shutil.rmtree(existing.folder)  # deletes links in it without following them
    forget_zoo_manifests()
    return replace(existing, is_removed=True)


def find_registration() -> Registration | None:
    """The registration in the model zoo, None when there is none."""
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


def _create(folder: Path, copy: bool) -> None:
    """Writes the folder with the source of models."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(folder) as part:
        part.mkdir()
        for name, text in _files().items():
            (part / name).write_text(text, encoding="utf-8")
        (part / RECORD).write_text(json.dumps(_install_code(part / _NAME, copy), indent=4) + "\n", encoding="utf-8")
    forget_zoo_manifests()


def _install_code(place: Path, copy: bool) -> dict[str, Any]:
    """Links or copies the package; returns the content of the record."""
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
        logger.info("links are not possible in %s (%s): copying", place.parent.parent, error)
        return False
    return True


def _digest(package: Path) -> str:
    """A hash of the names and contents of all files of a package."""
    digest = hashlib.sha256()
    for path in sorted(path for path in package.rglob("*") if path.is_file() and path.suffix != ".pyc"):
        digest.update(f"{path.relative_to(package).as_posix()}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


@contextlib.contextmanager
def _write_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RegistrationError(
            f"cannot write {folder}: {error.strerror or error}. Set another folder in FIFTYONE_MODEL_ZOO_DIR"
        ) from error
