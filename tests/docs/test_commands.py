"""Every command of the README runs as it is written, in an empty folder.

What a reader has is in the environment: ``REPO``, the home folder with pictures, FiftyOne with its database, the model
files. Nothing in a block is changed, only the lines of :data:`NOT_RUN` are left out.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import fiftyone as fo
import pytest

from demo.world import make_world
from scripts.local_services import free_port
from tests.docs.pages import PAGES, README, ROOT, blocks
from tests.support import network_guard, services, tiny_models
from tests.support.detection.rectangles import write_fixed_detector
from tests.support.published import served_archive

NOT_RUN = {"make test": "it runs all tests, and this one is among them"}
EXAMPLES_NOT_RUN = {
    "CONTRIBUTING.md": "shows a line of a class",
    "install.md": "asks the address of the repository",
    "libraries.md": "needs groups that a user named, and a second library; test_library_script.py runs its script",
    "videos.md": "needs videos and a grouped dataset",
}

pytestmark = [pytest.mark.mongo, pytest.mark.slow]

SHELL = [block.text for block in blocks(README.read_text(encoding="utf-8"), "shell")]
PYTHON = [block.text for block in blocks(README.read_text(encoding="utf-8"), "python")]
PLUGIN, PACKAGE, CHECKOUT, JOB = SHELL
(EXAMPLE,) = PYTHON
DATASET, N_PICTURES = "anime", 6
UNREACHABLE = ("No matching distribution", "NewConnectionError", "Could not find a version", "Connection refused")
MODELS = ("ccip-caformer-24-randaug-pruned", "ccip-demo")
SAFE = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}  # for git in CI
PREPARED = """
import fiftyone as fo
import ccip_plugin as ccip

dataset = fo.load_dataset("anime")
ccip.compute_embeddings(dataset)
ccip.group_characters(dataset)
"""
RUN_EXAMPLES = """
import json
for text in json.load(open("examples.json", encoding="utf-8")):
    print(text, flush=True)
    exec(compile(text, "example", "exec"), {"__name__": "__main__"})
"""
OWN_PYTHON = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from ccip_plugin.__main__ import main; sys.exit(main())"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A few drawn images of known characters, in a folder of a reader."""
    folder = tmp_path_factory.mktemp("home") / "Pictures" / "anime"
    world = make_world(
        folder, n_characters=3, n_images=14, n_groups=2, n_nobody=1, n_broken=1, short_side=(64, 80), workers=1
    )
    new = folder.with_name("new")
    new.mkdir()
    shutil.copy(next(path for path in sorted(folder.rglob("*")) if path.suffix in (".png", ".jpg", ".webp")), new)
    return world


@pytest.fixture(scope="module")
def environment(mongo, world, tmp_path_factory):
    """The environment of a reader: commands on the path, a home folder, models, a FiftyOne of their own."""
    folder = tmp_path_factory.mktemp("reader")
    (folder / "plugins").mkdir()
    for name in MODELS:
        tiny_models.write_model_dir(folder / "models", name=name)
    write_fixed_detector(folder / "models" / "person_detect_v1.1_m" / "model.onnx")
    commands = folder / "bin"
    commands.mkdir()
    (commands / "ccip").write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{OWN_PYTHON}" "$@"\n', encoding="utf-8")
    (commands / "ccip").chmod(0o755)
    return (
        os.environ
        | {
            "HOME": str(world.folder.parents[1]),
            "PATH": os.pathsep.join([str(commands), str(Path(sys.executable).parent), os.environ["PATH"]]),
            "CCIP_MODEL_DIR": str(folder / "models"),
            "FIFTYONE_PLUGINS_DIR": str(folder / "plugins"),
            "FIFTYONE_MODEL_ZOO_DIR": str(folder / "zoo"),
            "FIFTYONE_DEFAULT_APP_PORT": str(free_port()),
            "PIP_NO_INDEX": "1",
        }
        | SAFE
    )


@pytest.fixture
def pictures(dataset, world):
    """The dataset of a reader, of some of these images, with the true name and a detection on each."""
    images = [image for image in world.images if image.kind == "single"][:N_PICTURES]
    data = dataset(*(world.folder / image.path for image in images), name=DATASET, persistent=True)
    for sample, image in zip(data, images, strict=True):
        sample["character"] = fo.Classification(label=image.seen[0].character)
        boxes = [fo.Detection(label="person", bounding_box=[0.1, 0.1, 0.8, 0.8])]
        sample["detections"] = fo.Detections(detections=boxes)
        sample.save()
    return data


def run(text: str, folder: Path, environment: dict[str, str], *, timeout: float = 600) -> str:
    """Runs a block in a shell that stops at the first failure, without the lines of :data:`NOT_RUN`."""
    lines = [line for line in text.splitlines() if line.partition("#")[0].strip() not in NOT_RUN]
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(lines)],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    if done.returncode:
        pytest.fail(f"exit status {done.returncode}\n{text}\n--- stdout\n{done.stdout}\n--- stderr\n{done.stderr}")
    return done.stdout


def test_what_is_not_run_is_in_the_readme():
    lines = {line.partition("#")[0].strip() for text in SHELL for line in text.splitlines()}
    assert NOT_RUN.keys() <= lines


def test_make_demo_and_make_test_are_named():
    assert {"make demo", "make test"} <= set(CHECKOUT.splitlines())


def test_the_plugin(environment, tmp_path):
    with served_archive(tmp_path / "www") as url:
        (tmp_path / "empty").mkdir()
        run(PLUGIN, tmp_path / "empty", environment | {"REPO": url})
    (manifest,) = Path(environment["FIFTYONE_PLUGINS_DIR"]).rglob("fiftyone.yml")
    assert manifest.read_bytes() == (ROOT / "fiftyone.yml").read_bytes()


@pytest.mark.install
def test_the_package(tmp_path):
    """With the user's own settings of pip, into a new environment; what FiftyOne brings is not installed once more."""
    environment, empty = tmp_path / "environment", tmp_path / "empty"
    empty.mkdir()
    make_environment(environment, with_pip=True)
    ours = {
        "REPO": f"file://{ROOT}",
        "PATH": os.pathsep.join([str(environment / "bin"), services.INHERITED["PATH"]]),
        "PIP_NO_DEPS": "1",
    }
    done = subprocess.run(
        ["bash", "-e", "-c", f"{PACKAGE}ccip --help"],
        cwd=empty,
        env=services.INHERITED | ours | SAFE,
        capture_output=True,
        text=True,
        check=False,
    )
    if any(words in done.stderr for words in UNREACHABLE) and not services.is_required("index"):
        pytest.skip("the package index does not answer (CCIP_REQUIRE=index makes this a failure)")
    assert done.returncode == 0, done.stderr
    assert "--dataset NAME" in done.stdout
    assert list(environment.glob("lib/python*/site-packages/ccip_plugin/__main__.py")) != []


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="no repository to clone")
def test_the_checkout(environment, world, tmp_path):
    """``make`` finds an environment, as `make setup` makes it from the network, and images that are drawn already."""
    clone, demo, app = CHECKOUT.split("make demo")[0], "make demo", "make app"
    run(clone, tmp_path, environment | {"REPO": str(ROOT)})
    checkout = tmp_path / "fiftyone-ccip"
    make_environment(checkout / ".venv")
    shutil.copytree(world.folder, checkout / ".work" / "demo" / "images")
    assert CHECKOUT.splitlines()[2:] == [demo, app, "make test"]
    try:
        printed = run("\n".join([demo, app]), checkout, environment)
        assert "adjusted Rand index" in printed and "The App is open:  http://" in printed
    finally:
        assert "ended" in run("make stop", checkout, environment)


def make_environment(folder: Path, *, with_pip: bool = False) -> None:
    """An environment with the packages of this one, as `make` knows one that is up to date."""
    subprocess.run([sys.executable, "-m", "venv", *([] if with_pip else ["--without-pip"]), folder], check=True)
    (site_packages,) = folder.glob("lib/python*/site-packages")
    packages = [path for path in sys.path if path.endswith("-packages")]
    (site_packages / "packages.pth").write_text("\n".join(packages) + "\n", encoding="utf-8")
    (folder / ".set-up").touch()


def test_the_job(environment, pictures, tmp_path):
    run(JOB, tmp_path, environment)
    pictures.reload()
    assert len(pictures) > N_PICTURES
    assert pictures.count("character_group.label") > N_PICTURES
    assert pictures.count("detections.detections.character_group") == N_PICTURES
    assert list(tmp_path.iterdir()) == []


def test_the_example(environment, pictures, tmp_path):
    (tmp_path / "example.py").write_text(EXAMPLE, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "example.py"],
        cwd=tmp_path,
        env=environment | {"PYTHONPATH": os.pathsep.join([os.environ["PYTHONPATH"], str(ROOT)])},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    pictures.reload()
    assert pictures.count("character_group.label") == N_PICTURES
    assert pictures.count("persons.detections.character_group") == N_PICTURES


def test_examples_of_other_pages(environment, pictures, world, tmp_path):
    """One after the other in one process, on a dataset that is embedded and grouped, with a folder of references."""
    pages = [page for page in PAGES if page != README and page.name not in EXAMPLES_NOT_RUN]
    examples = [block.text for page in pages for block in blocks(page.read_text(encoding="utf-8"), "python")]
    assert len(examples) > 8
    for name, sample in zip("abcdef", pictures, strict=True):
        references = Path(environment["HOME"]) / "characters" / sample["character"].label
        references.mkdir(parents=True, exist_ok=True)
        shutil.copy(sample.filepath, references)
        shutil.copy(sample.filepath, tmp_path / f"{name}.png")
    (tmp_path / "examples.json").write_text(json.dumps([PREPARED, *examples]), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", RUN_EXAMPLES],
        cwd=tmp_path,
        env=environment
        | {"PYTHONPATH": os.pathsep.join([os.environ["PYTHONPATH"], str(ROOT)])}
        | {"FIFTYONE_PLUGINS_DIR": os.environ["FIFTYONE_PLUGINS_DIR"]},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_nothing_else_is_fenced():
    others = {block.language for block in blocks(README.read_text(encoding="utf-8"))} - {"shell", "python"}
    assert others == set()
    assert network_guard.ATTEMPTS == []
