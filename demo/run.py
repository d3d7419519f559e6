"""The demo: draws images, groups them by character, and compares the groups with the truth: ``python -m demo.run``.

With ``--images`` it works on the user's folder instead, in the user's own FiftyOne.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from ccip_plugin.cli import parsers
from ccip_plugin.cli.commands import group, run_stages
from ccip_plugin.cli.work import DONE, PARTLY_DONE, Work, start_fiftyone
from ccip_plugin.core.errors import CCIPError
from ccip_plugin.core.registry import DEMO_MODEL, get_spec
from scripts.local_services import ServiceError

from .servers import FOLDER, PLUGIN, ROOT, Servers, Shown, link_plugin
from .world import TRUTH_FILE, TrueImage, read_truth

DATASET = "ccip-demo"
N_IMAGES = 300
TABLE_FILE = "table.txt"
NEXT = """\
look at the groups:  make app
try ccip or Python:  make shell
end the servers:     make stop"""


class DemoError(CCIPError):
    """The demo cannot continue."""


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    options = _parser().parse_args(arguments)
    if options.images is not None and not options.dataset:
        print("make demo IMAGES=... needs a name for the dataset: DATASET=name", file=sys.stderr)
        return 2
    given = {"images": options.images, "model": options.model, "dataset": options.dataset}
    command = " ".join(["make demo", *(f"{name.upper()}='{value}'" for name, value in given.items() if value)])
    servers = Servers(options.folder)
    if options.images is not None:
        work = Work(_job_options(options, [options.images], options.dataset, options.model), command)
        return work.do(lambda work: of_the_user(work, servers))
    model = options.model or DEMO_MODEL
    work = Work(_job_options(options, [], options.dataset or DATASET, model), command)
    return work.do(lambda work: of_our_own(work, servers, options.n_images))


def of_our_own(work: Work, servers: Servers, n_images: int = N_IMAGES) -> int:
    """Draws the images and does the whole job on them, in a database of its own.

    Returns:
        the exit status
    """
    get_spec(work.options.model_name)
    with servers.job(lambda other: work.print(f"{other}; waiting for its end")):
        images = _images(work, servers.folder / "images", n_images)
        try:
            env = servers.environment()
        except ServiceError as error:
            raise DemoError(str(error)) from error
        os.environ.clear()
        os.environ.update(env)
        start_fiftyone(work)
        return _do(work, servers, images)


def of_the_user(work: Work, servers: Servers) -> int:
    """Does the whole job on the user's folder, in the user's FiftyOne.

    Returns:
        the exit status
    """
    status = group(work)
    from ccip_plugin.io.images import open_dataset

    from .workspace import arrange

    dataset = open_dataset(work.options.dataset, create=False)
    servers.show(Shown(dataset.name, arrange(dataset), False, _plugins_dir(servers.folder / "users-plugins")))
    work.print(f"or from here:        make app\n{NEXT.splitlines()[-1]}")
    return status


def _do(work: Work, servers: Servers, images: tuple[TrueImage, ...]) -> int:
    """The job on the drawn images: those with one character as a whole, those with several by the people on them."""
    from fiftyone import ViewField as F

    from ccip_plugin.cli.summary import Summary, render
    from ccip_plugin.io.images import add_images, open_dataset
    from ccip_plugin.storage.fields import ERROR_FIELD

    from . import truth
    from .workspace import arrange

    folder = servers.folder / "images"
    whole, people = Summary(work.options.dataset), Summary(work.options.dataset, truth.PEOPLE_FIELD)
    work.before_stop = work.before_failure = lambda: work.print(render(whole))
    started = time.monotonic()
    whole.ingest = add_images(work.options.dataset, folder, progress=work.progress)
    dataset = open_dataset(work.options.dataset, create=False)
    truth.write_truth(dataset, images, folder)
    whole.seconds["load"] = time.monotonic() - started
    run_stages(work, dataset.exists(truth.PEOPLE_FIELD, False), whole)
    if dataset.count(f"{truth.PEOPLE_FIELD}.detections"):
        work.options.patches_field, work.options.no_visualization = truth.PEOPLE_FIELD, True  # one map is enough
        run_stages(work, dataset, people)
    shapeless = dataset.match((F(ERROR_FIELD) == None) & (F("metadata") == None))  # noqa: E711 - FiftyOne's
    if len(shapeless):  # without its shape the App shows an image as a square tile
        shapeless.compute_metadata(progress=False)
    scores = truth.measure(dataset, images, folder)
    servers.show(Shown(dataset.name, arrange(dataset, patches_field=truth.PEOPLE_FIELD)))
    table = f"Images\n{render(whole)}\n\nPeople on images with several\n{render(people)}\n\n{truth.render(scores)}"
    (servers.folder / TABLE_FILE).write_text(table + "\n", encoding="utf-8")
    work.print(f"{table}\n\n{NEXT}")
    return PARTLY_DONE if whole.problems or people.problems else DONE


# -- the images


def _images(work: Work, folder: Path, n_images: int) -> tuple[TrueImage, ...]:
    """Draws the images unless all are there, and gives the truth about them."""
    if not (folder / TRUTH_FILE).exists():
        work.print(f"drawing {n_images} images into {folder} ...")
        _draw(folder, n_images)
    return read_truth(folder)


def _draw(folder: Path, n_images: int) -> None:
    """Draws in a process group of its own: Ctrl-C reaches us alone, and then all of them are ended."""
    command = [sys.executable, "-m", "demo.make_images", str(folder), "--images", str(n_images)]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        status = process.wait()
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    if status:
        raise DemoError(f"the images could not be drawn: {' '.join(command)} ended with status {status}")


# -- the user's FiftyOne


def _plugins_dir(folder: Path) -> str | None:
    """A folder with the user's plugins and this one; None where the user has this one already."""
    import fiftyone as fo
    from fiftyone.plugins import list_plugins

    if any(plugin.name == str(PLUGIN) for plugin in list_plugins(enabled="all")):
        return None
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    theirs = Path(fo.config.plugins_dir)
    for entry in theirs.iterdir() if theirs.is_dir() else ():
        (folder / entry.name).symlink_to(entry.resolve())
    link_plugin(folder / "ccip-of-this-checkout")
    return str(folder)


# -- the command line


def _job_options(options: argparse.Namespace, images: list[str], dataset: str, model: str | None) -> argparse.Namespace:
    given = {"--model": model, "--model-dir": options.model_dir}
    more = [text for name, value in given.items() if value for text in (name, value)]
    return parsers.parse([parsers.GROUP, "--dataset", dataset, *more, *options.more, "--", *images], "make demo")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m demo.run", description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--images", metavar="FOLDER", help="the user's images; drawn ones by default")
    add("--dataset", metavar="NAME", help=f"the name of the dataset ({DATASET} for the drawn images)")
    add("--model", metavar="NAME", help=f"the model ({DEMO_MODEL} for the drawn images)")
    add("--model-dir", metavar="DIR", help="a folder of models")
    add("--folder", type=Path, default=FOLDER, help=f"where the demo keeps its files ({FOLDER.relative_to(ROOT)})")
    add("--n-images", type=int, default=N_IMAGES, help=f"how many images are drawn ({N_IMAGES})")
    add("more", nargs="*", help="options of python -m ccip_plugin, after --")
    return parser


if __name__ == "__main__":
    sys.exit(main())
