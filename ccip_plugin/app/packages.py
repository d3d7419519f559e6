"""The packages that this plugin needs beside FiftyOne. FiftyOne installs a plugin without its requirements."""

import importlib.util

from ..core.errors import CCIPError

NEEDED = {
    "cachetools": "cachetools",
    "filelock": "filelock",
    "huggingface_hub": "huggingface_hub",
    "numpy": "numpy",
    "onnxruntime": "onnxruntime",
    "pillow": "PIL",
    "scikit-learn": "sklearn",
    "tabulate": "tabulate",
    "tqdm": "tqdm",
}
"""The module of each package in ``requirements.txt``."""
INSTALL = "fiftyone plugins requirements @ccip/characters --install"


class MissingPackagesError(CCIPError, ImportError):
    """Packages of this plugin are not installed."""

    def __init__(self, packages: list[str]):
        verb = "is" if len(packages) == 1 else "are"
        names = ", ".join(packages[:-1]) + " and " * (len(packages) > 1) + packages[-1]
        super().__init__(f"{names} {verb} not installed: run '{INSTALL}', then restart the App")
        self.packages = packages


def check_packages() -> None:
    """Checks that every package is installed.

    Raises:
        MissingPackagesError: some are not
    """
    missing = [package for package, module in NEEDED.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise MissingPackagesError(missing)
