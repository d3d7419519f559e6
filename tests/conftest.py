"""Test set-up: an own database, no network, and small things to work on.

FiftyOne connects to its database when it is imported, so it is caught at its first import, wherever that is: our own
MongoDB is started, the environment points to it, and only then FiftyOne loads. Tests of the core never get there.
"""

import atexit
import contextlib
import importlib.abc
import itertools
import os
import signal
import subprocess
import sys
import textwrap
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import network_guard, services
from tests.support.app.app_driver import App

ROOT = Path(__file__).resolve().parents[1]
CHARACTER_COLORS = ("crimson", "royalblue", "gold", "seagreen", "orchid", "darkorange", "turquoise", "slategray")

_UNSATISFIABLE = ("No matching distribution found", "Could not find a version")  # as pip says it without an index

DATABASE = services.TestDatabase()
atexit.register(DATABASE.close)  # before FiftyOne registers its own farewell, so after it: it still needs the database
network_guard.install()
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as shells have it for what they start in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)


class _FiftyOneWatcher(importlib.abc.MetaPathFinder):
    """Starts the database right before the first import of FiftyOne; finds no module itself."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config

    def find_spec(self, name, path=None, target=None):
        if name == "fiftyone":
            if self.config.getoption("--core"):
                pytest.skip("needs FiftyOne, left out by --core", allow_module_level=True)
            _need_database()


def _need_database() -> None:
    if not DATABASE.start():
        _missing("mongo", DATABASE.problem)


def _missing(what: str, why: str | None) -> None:
    if services.is_required(what):
        pytest.exit(f"CCIP_REQUIRE names {what!r}, but: {why}", returncode=1)
    pytest.skip(f"{why} (CCIP_REQUIRE={what} makes this a failure)", allow_module_level=True)


def pytest_addoption(parser):
    parser.addoption("--core", action="store_true", help="only what needs neither FiftyOne nor a browser, and is quick")


def pytest_configure(config):
    sys.meta_path.insert(0, _FiftyOneWatcher(config))
    _guard_child_processes()
    _install_plugin()
    signal.signal(signal.SIGTERM, lambda *_: pytest.exit("terminated", returncode=143))  # in good order on `kill`


def pytest_collection_modifyitems(config, items):
    for item in items:
        for mark, fixtures in (("mongo", {"mongo", "dataset"}), ("browser", {"page"})):
            if fixtures.intersection(item.fixturenames):
                item.add_marker(mark)


def pytest_runtest_setup(item):
    needs_mongo, needs_browser = (item.get_closest_marker(mark) for mark in ("mongo", "browser"))
    is_slow = item.get_closest_marker("slow")
    if item.config.getoption("--core") and (needs_mongo or needs_browser or is_slow):
        pytest.skip("needs FiftyOne or a browser, or is slow: left out by --core")
    if needs_mongo or needs_browser:
        _need_database()


def _guard_child_processes() -> None:
    """Every Python that a test starts imports from this checkout and has the network guard, too."""
    folder = DATABASE.folder / "site"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text("import network_guard\n\nnetwork_guard.install()\n", encoding="utf-8")
    (folder / "network_guard.py").symlink_to(network_guard.__file__)
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)  # other versions of a library that are to be tested
    os.environ["PYTHONPATH"] = os.pathsep.join([str(folder), str(ROOT), *filter(None, given)])
    os.environ["PYTHONIOENCODING"] = "utf-8"


def _install_plugin() -> None:
    """FiftyOne, the App server and child processes find this checkout as the plugin."""
    link = Path(os.environ["FIFTYONE_PLUGINS_DIR"]) / "@ccip" / "characters"
    link.parent.mkdir(parents=True)
    link.symlink_to(ROOT, target_is_directory=True)


@pytest.fixture(scope="session")
def mongo() -> services.TestDatabase:
    """The database of this run; the test is skipped when there is none."""
    _need_database()
    return DATABASE


@pytest.fixture(autouse=True)
def network(request) -> Iterator[list[str]]:
    """The hosts that this test tried to reach. It fails when there is one, unless it uses ``offline``."""
    network_guard.ATTEMPTS.clear()
    yield network_guard.ATTEMPTS
    if network_guard.ATTEMPTS and "offline" not in request.fixturenames:
        pytest.fail(f"tried to reach {', '.join(network_guard.ATTEMPTS)}")


@pytest.fixture
def offline(network) -> list[str]:
    """For tests of what happens without network: attempts fail, are listed here, and are no failure of the test."""
    return network


@pytest.fixture
def dataset(mongo) -> Iterator[Callable]:
    """``dataset(*filepaths, name=None, persistent=False)`` gives a new FiftyOne dataset, deleted after the test."""
    import fiftyone as fo

    made = []

    def make(*filepaths, name=None, persistent=False):
        made.append(name or f"ccip {uuid.uuid4().hex[:12]}")
        new = fo.Dataset(made[-1], persistent=persistent)
        new.add_samples([fo.Sample(filepath=str(path)) for path in filepaths])
        return new

    yield make
    for name in made:
        if fo.dataset_exists(name):
            fo.delete_dataset(name)


@pytest.fixture
def images(tmp_path) -> Callable[..., list[Path]]:
    """``images("aab", folder=None, size=(64, 48))`` writes an image per letter and gives the paths.

    The same letter is the same character: the same colours, with a mark that differs from image to image. The name
    of a file begins with its letter.
    """
    from PIL import Image, ImageDraw

    counter = itertools.count()

    def make(characters: str, *, folder: Path | None = None, size: tuple[int, int] = (64, 48)) -> list[Path]:
        folder = folder or tmp_path / "images"
        folder.mkdir(parents=True, exist_ok=True)
        paths = []
        for character in characters:
            n = next(counter)
            image = Image.new("RGB", size, CHARACTER_COLORS[ord(character) % len(CHARACTER_COLORS)])
            image = _striped(image)
            ImageDraw.Draw(image).point([(n % size[0], n // size[0] % size[1])], fill="white")
            paths.append(folder / f"{character} {n:03d}.png")
            image.save(paths[-1])
        return paths

    return make


def _striped(image):
    """The image with thin lines of a darker shade, so that no part of it is blank."""
    from PIL import Image

    width = max(1, image.width // 64)
    mask = Image.new("1", image.size)
    for left in range(0, image.width, 8 * width):
        mask.paste(1, (left, 0, left + width, image.height))
    return Image.composite(image.point(lambda value: value * 7 // 8), image, mask)


@pytest.fixture
def model_dir(tmp_path) -> Path:
    """A folder of tiny CCIP models, for ``model_dir=``."""
    from tests.support import tiny_models

    return tiny_models.write_model_dir(tmp_path / "models")


@pytest.fixture(scope="session")
def weights_dir() -> Path:
    """The folder of published models that ``CCIP_MODEL_DIR`` named when the tests were started."""
    folder = services.INHERITED.get("CCIP_MODEL_DIR")
    if not folder or not Path(folder).is_dir():
        pytest.skip("no published models: set CCIP_MODEL_DIR to their folder")
    return Path(folder)


@pytest.fixture
def start_python(tmp_path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """``start_python(code_or_args, *arguments, **environment)`` starts a Python process; killed after the test.

    A string is code to run, a list is what follows ``python`` on the command line. The process has the database and
    the checkout of the tests, runs in a folder without our code, and has its output on pipes.
    """
    with contextlib.ExitStack() as running:

        def start(what: str | list[str], *arguments: object, **environment: str) -> subprocess.Popen[str]:
            command = ["-c", textwrap.dedent(what)] if isinstance(what, str) else what
            process = subprocess.Popen(
                [sys.executable, *command, *map(str, arguments)],
                cwd=tmp_path,
                env=os.environ | environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            running.enter_context(process)
            running.callback(process.kill)
            return process

        yield start


@pytest.fixture
def run_python(start_python) -> Callable[..., subprocess.CompletedProcess[str]]:
    """As ``start_python``, but waits for the end: ``run_python(..., status=0, timeout=120)``.

    Another exit status than the one named fails the test and shows what the process printed; None takes any.
    """

    def run(
        what: str | list[str], *arguments: object, status: int | None = 0, timeout: float = 120, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        process = start_python(what, *arguments, **environment)
        out, err = process.communicate(timeout=timeout)
        if status is not None and process.returncode != status:
            pytest.fail(f"exit status {process.returncode} instead of {status}\n--- stdout\n{out}\n--- stderr\n{err}")
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    return run


@pytest.fixture
def pip(tmp_path):
    """``pip(*arguments)`` runs the pip of this environment with the settings of the user's shell and with network."""

    def run(*arguments: object) -> str:
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *map(str, arguments)]
        done = subprocess.run(
            command, cwd=tmp_path, env=services.INHERITED, capture_output=True, text=True, check=False
        )
        if done.returncode == 0:
            return done.stdout
        if any(words in done.stderr for words in _UNSATISFIABLE) and not services.is_required("install"):
            pytest.skip("the package index does not answer (CCIP_REQUIRE=install makes this a failure)")
        pytest.fail(done.stderr)

    return run


@pytest.fixture(scope="session")
def app_server(mongo) -> Iterator[services.AppServer]:
    """The App on the database of this run."""
    with services.AppServer(mongo.folder / "app") as server:
        yield server


@pytest.fixture
def page(app_server) -> Iterator:
    """A page of a fresh Chromium; open ``f"{app_server.url}/datasets/{name}"`` in it."""
    problem = services.why_no_browser()
    if problem:
        _missing("browser", problem)
    with services.browser_page() as page:
        yield page


@pytest.fixture
def app(page, app_server, gallery, tmp_path) -> Iterator[App]:
    """The App in a page, on the ``gallery`` of the module; it is closed before the dataset goes."""
    app = App(page, app_server.url, tmp_path / "shots")
    yield app
    page.close()
    assert app.problems == []


@pytest.fixture
def embedded(dataset, images, model_dir):
    """``embedded("aab")`` gives a dataset with embedded images of these characters."""

    def make(letters):
        from ccip_plugin.embeddings import compute_embeddings

        data = dataset(*images(letters))
        compute_embeddings(data, model_dir=model_dir)
        return data

    return make


@pytest.fixture
def with_faces(dataset, images, model_dir):
    """``with_faces("ab")`` gives a dataset of these images, with an embedded detection in each half, in ``faces``."""

    def make(letters, boxes=((0, 0, 0.5, 1), (0.5, 0, 0.5, 1))):
        import fiftyone as fo

        from ccip_plugin.embeddings import compute_embeddings

        data = dataset(*images(letters))
        for sample in data:
            faces = [fo.Detection(label="face", bounding_box=list(box)) for box in boxes]
            sample["faces"] = fo.Detections(detections=faces)
            sample.save()
        compute_embeddings(data, patches_field="faces", model_dir=model_dir)
        return data

    return make


@pytest.fixture
def grouped(dataset):
    """``grouped("aab ")`` gives a dataset with an embedding per letter."""

    from tests.support.groups import embed

    def make(letters, **options):
        new = dataset(*[f"/絵/{n} {letter}.png" for n, letter in enumerate(letters)], **options)
        embed(new, letters)
        return new

    return make
