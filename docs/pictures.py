"""Pictures of the documentation: the demo in the real App, in Chromium."""

from __future__ import annotations

import contextlib
import io
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from demo.contact_sheet import contact_sheet
from demo.servers import FOLDER, ROOT, Servers
from demo.world import TRUTH_FILE, TrueImage, read_truth
from docs.animation import of_a_review
from tests.support import services
from tests.support.app.app_driver import App

MOST_BYTES = 300_000
ATTEMPTS: dict[str, tuple[dict[str, int], ...]] = {  # from the best on, until one is small enough
    ".png": tuple({"colors": n} for n in (256, 192, 128, 96, 64)),
    ".webp": tuple({"quality": n} for n in (90, 85, 80, 75, 70, 60, 50)),
}
VIEW = "by-character-group"  # as demo.workspace saves it
GROUP = "CCIP: group by character"
SETTLED_MS = 2500  # until tiles are drawn and panels have moved to their places
CAST, EACH = 6, 9  # rows and columns of the contact sheet


def take(work: Path, out: Path) -> Iterator[Path]:
    """Takes all pictures.

    Args:
        work: a folder for a demo of its own
        out: where the pictures go

    Returns:
        their paths, as they are taken
    """
    out.mkdir(parents=True, exist_ok=True)
    with _demo(work) as (servers, address):
        yield _save(characters(work / "images", read_truth(work / "images")), out / "characters.webp")
        with services.browser_page(width=1500, height=900) as page:
            for name, image in _of_the_app(page, address, servers, work):
                yield _save(image, out / f"{name}.png")
            yield of_a_review(_opened(page, address)).save(out / "review.webp")
    plot = ROOT / ".work" / "bench" / "operations.svg"
    if plot.exists():
        yield Path(shutil.copy(plot, out))


def characters(folder: Path, images: tuple[TrueImage, ...]) -> Image.Image:
    """The characters with the most images, a row for each."""
    single: dict[str, list[Path]] = {}
    for image in images:
        if image.kind == "single":
            single.setdefault(image.seen[0].character, []).append(folder / image.path)
    rows = sorted((paths for paths in single.values() if len(paths) >= EACH), key=len, reverse=True)[:CAST]
    return contact_sheet([path for row in rows for path in row[:EACH]], columns=EACH, tile=150)


@contextlib.contextmanager
def _demo(work: Path) -> Iterator[tuple[Servers, str]]:
    """A fresh demo and the App on it."""
    servers = Servers(work)
    servers.stop()
    shutil.rmtree(work / "mongo", ignore_errors=True)
    if (FOLDER / "images" / TRUTH_FILE).exists() and not (work / "images").exists():
        (work / "images").symlink_to(FOLDER / "images", target_is_directory=True)
    try:
        subprocess.run([sys.executable, "-m", "demo.run", "--folder", str(work)], cwd=ROOT, check=True)
        address, _ = servers.open_app()
        yield servers, address.replace("localhost", "127.0.0.1")  # the only one that the browser may go to
    finally:
        servers.stop()


def _opened(page: Any, address: str) -> App:
    """The App, open at its tiles without the sidebar."""
    app = App(page, address.partition("/datasets")[0], Path())
    _open(app, address.partition("?")[0])
    _hide_sidebar(app)
    return app


def _of_the_app(page: Any, address: str, servers: Servers, work: Path) -> Iterator[tuple[str, Image.Image]]:
    app = App(page, address.partition("/datasets")[0], work / "shots")
    dataset = address.partition("?")[0]
    _open(app, address)
    _hide_sidebar(app)
    _show_map(app)
    _size_tiles(app, 0.65)
    yield "app", _shot(app)
    app.page.get_by_title("Close").click()  # the panel
    _open(app, f"{dataset}?view={VIEW}")
    _size_tiles(app, 0.3)
    yield "groups", _shot(app)
    app.cy("btn-clear-view-bar").click()  # or the server shows the view again
    app.count("300 samples")
    undo = [sys.executable, "-m", "ccip_plugin", "undo", "--dataset", dataset.rpartition("/")[2], "--quiet"]
    subprocess.run(undo, cwd=ROOT, env=servers.environment(), check=True)
    page.set_viewport_size({"width": 1440, "height": 900})
    _open(app, dataset)
    app.operator(GROUP)
    app.execute_button.wait_for()
    yield "grouping-form", _shot(app, app.prompt)
    page.set_viewport_size({"width": 1680, "height": 1250})  # the report with its chart
    app.execute()
    app.dialog.locator(".js-plotly-plot .bars .point").first.wait_for()
    yield "grouping-result", _shot(app, app.dialog)
    app.close_dialog()
    if app.problems:
        raise RuntimeError(f"pages of the App broke: {app.problems}")


def _open(app: App, address: str) -> None:
    app.page.goto(address)
    app.cy("looker").first.wait_for()


def _show_map(app: App) -> None:
    """Opens the map in the embeddings panel, coloured by group."""
    app.page.locator(".emb-run-card").first.click()
    app.page.get_by_text("Color by").click()
    app.page.get_by_text("character_group.label").first.click()
    app.page.get_by_text("char_0001", exact=True).last.wait_for()


def _hide_sidebar(app: App) -> None:
    app.page.keyboard.press("`")
    app.cy("operators-browser-search").fill("Hide sidebar")
    app.cy("operators-browser").get_by_text("Hide sidebar", exact=True).click()
    app.cy("operators-browser").wait_for(state="detached")


def _size_tiles(app: App, share: float) -> None:
    """Moves the slider for the size of the tiles, 1 for large ones."""
    slider = app.page.locator(".MuiSlider-root").nth(1)
    box = slider.bounding_box()
    slider.click(position={"x": share * box["width"], "y": box["height"] / 2})


def _shot(app: App, part: Any = None) -> Image.Image:
    """A picture of the page or of a part of it, once everything is in its place."""
    app.page.mouse.move(1, 1)
    app.page.wait_for_timeout(SETTLED_MS)
    for notice in app.page.get_by_role("button", name="Dismiss").all():
        notice.click()
    return Image.open(io.BytesIO((part or app.page).screenshot())).convert("RGB")


def _save(image: Image.Image, path: Path) -> Path:
    """Writes a picture with the best quality that fits into :data:`MOST_BYTES`."""
    for attempt in ATTEMPTS[path.suffix]:
        if path.suffix == ".png":
            image.quantize(attempt["colors"], kmeans=4, dither=Image.Dither.NONE).save(path, optimize=True)
        else:
            image.save(path, **attempt, method=6)
        if path.stat().st_size <= MOST_BYTES:
            return path
    raise RuntimeError(f"{path} has more than {MOST_BYTES} bytes")
