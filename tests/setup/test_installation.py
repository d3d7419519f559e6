"""Installed as people install it, each in an environment without this checkout: wheel, plugin zip, zoo source.

The environments have the packages of this one and nothing of ours; processes in them run in an empty folder.
"""

import importlib.metadata
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from ccip_plugin.app import packages
from tests.support.published import copy_repository, copy_source, served_archive

ROOT = Path(__file__).resolve().parents[2]
PACKAGE_FILES = ("pyproject.toml", "requirements.txt", "README.md", "LICENSE")
DEMO_MODEL = "ccip-demo"


class Environment:
    """A virtual environment with the packages of this one, but without this checkout."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
        self.bin = folder / "venv" / "bin"
        (site_packages,) = folder.glob("venv/lib/python*/site-packages")
        (site_packages / "packages.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
        guard = os.environ["PYTHONPATH"].split(os.pathsep)[0]  # lets nobody into the network; without this checkout
        self.variables = {
            "PYTHONPATH": guard,
            "FIFTYONE_PLUGINS_DIR": str(folder / "plugins"),
            "FIFTYONE_MODEL_ZOO_DIR": str(folder / "zoo"),
        }
        for name in ("plugins", "work"):
            (folder / name).mkdir()

    def run(self, command: str, *arguments: object, status: int = 0, **variables: str) -> str:
        """Runs a command of the environment in an empty folder; returns what it prints."""
        done = subprocess.run(
            [self.bin / command, *map(str, arguments)],
            cwd=self.folder / "work",
            env=os.environ | self.variables | variables,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert done.returncode == status, f"{done.stdout}\n{done.stderr}"
        return done.stdout

    def fiftyone(self, *arguments: object) -> str:
        """Runs the command ``fiftyone``."""
        return self.python("from fiftyone.core.cli import main; main()", *arguments)

    def python(self, code: str, *arguments: object) -> str:
        """Runs Python code."""
        return self.run("python", "-c", code, *arguments)


@pytest.fixture
def environment(mongo, tmp_path) -> Environment:
    """An environment without the package."""
    new = Environment(tmp_path / "environment")
    new.run("python", "-c", "import ccip_plugin", status=1)
    return new


def files_in(folder: Path) -> set[str]:
    files = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return {name for name in files if not name.endswith(".pyc")}


# -- the wheel


@pytest.fixture
def wheel(pip, tmp_path) -> Path:
    """The wheel of this checkout, built as pip builds it."""
    source = tmp_path / "source"
    source.mkdir()
    for name in PACKAGE_FILES:
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "ccip_plugin", source / "ccip_plugin", ignore=shutil.ignore_patterns("__pycache__"))
    pip("wheel", "--quiet", "--no-deps", "--wheel-dir", tmp_path / "wheels", source)
    (built,) = (tmp_path / "wheels").glob("*.whl")
    return built


GROUP = """
import sys
import fiftyone as fo
import ccip_plugin
assert "environment" in ccip_plugin.__file__, ccip_plugin.__file__
data = fo.load_dataset(sys.argv[1])
print(len(data.count_values("character_group.label")), data.count("ccip_embedding"))
import fiftyone.zoo as foz
ccip_plugin.register_model()
print(type(foz.load_zoo_model("ccip-demo")).__module__)
fo.delete_dataset(sys.argv[1])
"""


@pytest.mark.install
@pytest.mark.slow
def test_a_wheel_has_all_files_and_works(wheel, environment, pip, images, dataset):
    with zipfile.ZipFile(wheel) as archive:
        packed = {name.removeprefix("ccip_plugin/") for name in archive.namelist() if name.startswith("ccip_plugin/")}
        (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        described = Parser().parsestr(archive.read(metadata).decode())
    assert packed == files_in(ROOT / "ccip_plugin")
    assert {"py.typed", f"core/models/{DEMO_MODEL}/model_feat.onnx"} <= packed
    needed = map(Requirement, described.get_all("Requires-Dist"))
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert {str(each) for each in needed if each.marker is None} == {str(Requirement(line)) for line in lines}

    pip("--python", environment.bin / "python", "install", "--quiet", "--no-deps", wheel)
    assert "ccip models" in environment.run("ccip", "--help")
    assert DEMO_MODEL in environment.run("ccip", "models")
    folder = images("aabb")[0].parent
    name = f"ccip wheel {environment.folder.parent.name}"
    options = ("--dataset", name, "--model", DEMO_MODEL, "--no-visualization")
    assert "fiftyone app launch" in environment.run("ccip", folder, *options)
    n_groups, n_embeddings, module = environment.python(GROUP, name).split()
    assert (int(n_groups) >= 1, int(n_embeddings)) == (True, 4)
    assert module == "ccip_characters.ccip_plugin.zoo.model"


# -- the zip, as a plugin


EXECUTE = """
import sys
import fiftyone as fo
import fiftyone.operators as foo
from fiftyone.plugins import list_plugins, list_skills

(plugin,) = list_plugins(builtin=False)
data = fo.Dataset()
data.add_samples([fo.Sample(path) for path in sys.argv[1:]])
foo.get_operator("@ccip/characters/compute_embeddings")(data, model_name="ccip-demo")
done = foo.execute_operator("@ccip/characters/group_characters", dict(dataset=data), params={})
print(len([each for each in foo.list_operators() if each.uri.startswith("@ccip/characters/")]))
print(len(list_skills(plugin=plugin.name)), data.count("ccip_embedding"), data.count("character_group.label"))
print(sys.modules["fiftyone.plugins.orgs.ccip.characters.ccip_plugin"].__file__)
assert "ccip_plugin" not in sys.modules
data.delete()
"""


@pytest.mark.slow
def test_a_zip_works_as_a_plugin(environment, images, tmp_path):
    with served_archive(tmp_path / "www", copy_repository) as url:
        environment.fiftyone("plugins", "download", url)
    folder = environment.folder / "plugins"
    (installed,) = folder.rglob("ccip_plugin")
    assert files_in(installed) == files_in(ROOT / "ccip_plugin")
    environment.fiftyone("plugins", "requirements", "@ccip/characters", "--ensure")
    n_operators, n_skills, n_embeddings, n_labels, loaded = environment.python(EXECUTE, *images("aabb")).split()[-5:]
    listed = (ROOT / "fiftyone.yml").read_text(encoding="utf-8").partition("operators:\n")[2].partition("skills:")[0]
    assert (int(n_operators), int(n_skills)) == (listed.count("  - "), 1)
    assert (int(n_embeddings), int(n_labels)) == (4, 4)
    assert Path(loaded).is_relative_to(folder)


UPDATE = """
import sys
from pathlib import Path
import fiftyone.operators as foo

URI = "@ccip/characters/manage_models"
print(foo.execute_operator(URI, {}, params={"action": "list"}).error)
code = Path(sys.argv[1])
text = code.read_text()
code.write_text(text.replace('__version__ = "', '__version__ = "9.'))
try:
    foo.execute_operator(URI, {}, params={"action": "list"})
except Exception as error:
    print(str(error).replace(chr(10), " "))
print(len([each for each in foo.list_operators() if each.uri.startswith("@ccip/characters/")]) > 10)
code.unlink()
print(len([each for each in foo.list_operators() if each.uri.startswith("@ccip/characters/")]) > 10)
code.write_text(text)
print(foo.execute_operator(URI, {}, params={"action": "list"}).error)
"""


@pytest.mark.slow
def test_an_update_under_a_running_app_asks_for_a_restart(environment):
    plugin = copy_source(environment.folder / "plugins" / "@ccip" / "characters")
    before, refusal, is_listed, is_listed_without_version, after = environment.python(
        UPDATE, plugin / "ccip_plugin" / "__init__.py"
    ).splitlines()
    assert (before, after) == ("None", "None")
    assert "The CCIP plugin was updated from version " in refusal and "Restart the App." in refusal
    assert (is_listed, is_listed_without_version) == ("True", "True")


# -- the zip, in an environment with FiftyOne and nothing else


def _required_by(name: str) -> set[str]:
    """A package and everything that it requires, as far as it is installed here."""
    found, waiting = set(), [name]
    while waiting:
        each = waiting.pop()
        try:
            lines = importlib.metadata.requires(each) or []
        except importlib.metadata.PackageNotFoundError:  # FiftyOne's database has several names
            continue
        found.add(each)
        needed = map(Requirement, lines)
        names = {one.name.lower() for one in needed if one.marker is None or one.marker.evaluate({"extra": ""})}
        waiting += sorted(names - found)
    return found


@pytest.fixture
def plain_environment(mongo, tmp_path) -> Environment:
    """An environment with only FiftyOne and what it requires."""
    new = Environment(tmp_path / "plain")
    (site_packages,) = new.folder.glob("venv/lib/python*/site-packages")
    (site_packages / "packages.pth").unlink()
    for name in _required_by("fiftyone"):
        files = importlib.metadata.files(name) or []
        for top in {file.parts[0] for file in files} - {"..", "__pycache__", "bin"}:
            target = site_packages / top
            if not target.exists():
                target.symlink_to(Path(str(importlib.metadata.distribution(name).locate_file(top))))
    return new


WITHOUT = """
import sys
import fiftyone as fo
import fiftyone.operators as foo

data = fo.Dataset()
data.add_sample(fo.Sample(sys.argv[1]))
ours = [each for each in foo.list_operators() if each.uri.startswith("@ccip/characters/")]
uris = [each.uri for each in ours if not isinstance(each, foo.Panel) and not each.config.unlisted]
print(len(uris))
said = set()
for uri in uris:
    try:
        foo.execute_operator(uri, dict(dataset=data), params={})
    except Exception as error:
        said.add(str(error).partition("Reason: ")[2].strip())
    try:
        foo.get_operator(uri)(data)
    except ImportError as error:
        said.add(str(error) + ".")
print(*said, sep="|")
data.delete()
"""


@pytest.mark.slow
def test_without_its_requirements_every_form_says_what_is_missing_and_the_command(plain_environment, images, tmp_path):
    with served_archive(tmp_path / "www", copy_repository) as url:
        plain_environment.fiftyone("plugins", "download", url)
    *_, n_operators, said = plain_environment.python(WITHOUT, images("a")[0]).splitlines()
    listed = (ROOT / "fiftyone.yml").read_text(encoding="utf-8").partition("operators:\n")[2].partition("panels:")[0]
    assert int(n_operators) == listed.count("  - ") - 1, "all but the one that only the panel calls"
    messages = {text[:1].lower() + text[1:] for text in said.split("|")}
    assert messages == {
        "filelock, huggingface_hub and onnxruntime are not installed: run 'fiftyone plugins requirements "
        "@ccip/characters --install', then restart the App."
    }


def test_every_requirement_is_looked_for():
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert set(packages.NEEDED) == {Requirement(line).name for line in lines} - {"fiftyone"}
    assert packages.INSTALL in (ROOT / "README.md").read_text(encoding="utf-8")


# -- the zip, as a source of zoo models


LOAD = """
import sys
import fiftyone.zoo as foz
import numpy as np

foz.register_zoo_model_source(sys.argv[1])
model = foz.load_zoo_model("ccip-demo")
print(len(foz.list_zoo_models(source=sys.argv[1])), *model.embed(np.zeros((9, 9, 3), np.uint8)).shape)
print(sys.modules[type(model).__module__].__file__)
assert "ccip_plugin" not in sys.modules
foz.delete_zoo_model_source(sys.argv[1])
"""


@pytest.mark.slow
def test_a_zip_works_as_a_source_of_zoo_models(environment, tmp_path):
    with served_archive(tmp_path / "www", copy_repository) as url:
        n_models, dim, loaded = environment.python(LOAD, url).split()[-3:]  # after progress bars
    assert (int(n_models), int(dim)) == (11, 768)
    assert Path(loaded).is_relative_to(environment.folder / "zoo")
    assert not list(environment.folder.glob("zoo/*"))
