"""Waiting times of the review panel: the real App in Chromium, by the clock of the page.

    python benchmarks/review_browser.py --images 10000 --groups 2000 --answers 100
    python benchmarks/review_browser.py --images 25000 --groups 5000

Makes image files, their thumbnails as ``compute_embeddings`` does, and a dataset of made-up embeddings, in a MongoDB of
its own. "In milliseconds" begins at the event of the key or click, and ends with the frame that shows what follows.
"""

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts"), str(ROOT / "benchmarks")]

from common import machine, table  # noqa: E402 - found now

from tests.support import services  # noqa: E402

WARM = 5
PAGES = 20
TYPED = ("7", "73", "17", "35")  # parts of names; each key leaves other groups
LOOK_MS = 1_000  # at a page, before the next one
BURST = 10


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10_000, help="how many (10000)")
    parser.add_argument("--groups", type=int, default=2_000, help="in how many groups (2000)")
    parser.add_argument("--answers", type=int, default=100, help="how many keys are measured (100)")
    parser.add_argument("--seed", type=int, default=0, help="of the embeddings and pictures (0)")
    options = parser.parse_args()
    if problem := services.why_no_browser():
        sys.exit(problem)
    database = services.TestDatabase()
    try:
        if not database.start():
            sys.exit(database.problem)
        link = Path(os.environ["FIFTYONE_PLUGINS_DIR"]) / "@ccip" / "characters"
        link.parent.mkdir(parents=True)
        link.symlink_to(ROOT, target_is_directory=True)
        os.environ["PYTHONPATH"] = str(ROOT)
        with tempfile.TemporaryDirectory(prefix="ccip-review-") as folder:
            from tests.support.app.review_data import large_dataset

            dataset = large_dataset(options.images, options.groups, Path(folder), seed=options.seed)
            show(options, database.folder, dataset)
    finally:
        database.close()


def show(options: argparse.Namespace, folder: Path, dataset: Any) -> None:
    """Measures and prints."""
    print(machine())
    with services.AppServer(folder / "app") as server, services.browser_page() as page:
        rows, heaps, notes = measure(options, page, server.url, dataset, folder)
    title = (
        f"{options.images:,} images, {options.groups:,} groups; the page's scripts hold {heaps[1]:.0f} MB in the end"
    )
    header = ("milliseconds", "n", "median", "p95", "most")
    figures = [(name, *of(each)) for name, each in rows]
    table(title, header, figures, save_as=f"review-browser-{options.groups}")
    print(f"JS heap: {heaps[0]:.0f} MB before the panel was opened, {heaps[1]:.0f} MB in the end\n{notes}")
    print(f"At the end: {machine()}")


def measure(
    options: argparse.Namespace, page: Any, url: str, dataset: Any, folder: Path
) -> tuple[list[tuple[str, Sequence[float]]], tuple[float, float], str]:
    """All times, the heap before and after, and whether everything was kept."""
    from tests.support.app.app_driver import App
    from tests.support.app.review_panel import Review
    from tests.support.app.review_times import Times

    app = App(page, url, folder / "shots")
    review = Review(app)
    times = Times(review)
    rows: list[tuple[str, Sequence[float]]] = []

    def add(name: str, found: Sequence[float]) -> None:
        rows.append((name, found))
        print(f"{name}: {statistics.median(found):.0f} ms, load {os.getloadavg()[0]:.1f}", file=sys.stderr, flush=True)

    app.open(dataset.name)
    before, opened = times.heap(), [times.opening()]
    review.unsigned()
    add("open, cold", [opened[0][0]])
    for _ in range(WARM):
        review.close()
        app.open(dataset.name)
        opened.append(times.opening())
    add("open, warm", [each[0] for each in opened[1:]])
    add("open, warm, with pictures", [each[1] for each in opened[1:]])
    n_pages = min(PAGES, options.groups // 48 - 1)
    add("next page, at once", times.paging(n_pages))
    add("next page, after a look", times.paging(n_pages, LOOK_MS))
    add("key in find to the list", times.typing(TYPED))
    review.tab("questions")
    add("key to the next question", times.answering(options.answers))
    review.all_kept()
    kept = times.calls("answer")
    add("answer until it is kept", kept)
    waiting = times.burst(BURST)
    review.all_kept()
    n_kept, n_aside = len(times.calls("answer")) - len(kept), review.cy("review-aside").count()
    notes = f"{BURST} keys 30 ms after each question: {waiting} on their way after the last key, {n_kept} kept"
    return rows, (before, times.heap()), f"{notes}, {n_aside} put aside"


def of(values: Sequence[float]) -> tuple[str, ...]:
    """Number, median, 95th percentile and maximum."""
    ordered = sorted(values)
    p95 = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
    return str(len(ordered)), f"{statistics.median(ordered):,.0f}", f"{p95:,.0f}", f"{ordered[-1]:,.0f}"


if __name__ == "__main__":
    main()
