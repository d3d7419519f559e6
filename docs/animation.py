"""The animated picture of the review panel: a group is named and confirmed, questions are answered, by key."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from PIL import Image

from tests.support.app.app_driver import App
from tests.support.app.review_panel import Review
from tests.support.app.review_times import KEYS

MOST_BYTES = 1_500_000
QUALITIES = 75, 65, 55, 45
SIZE = 1800, 800
SETTLED_MS = 700
N_ANSWERS = 4
PRESSED = """
(text) => {
    const shown = document.getElementById("pressed") || document.body.appendChild(document.createElement("div"));
    shown.id = "pressed";
    shown.textContent = text;
    shown.style.cssText = "position: fixed; right: 24px; bottom: 84px; z-index: 9999; padding: 6px 18px;"
        + "border-radius: 8px; background: #ff6d04; color: #fff; font: 600 26px sans-serif;"
        + `display: ${text ? "block" : "none"}`;
}
"""


class Animation:
    """Frames of the panel, each with the key that led to it.

    Args:
        app: the App, open on the dataset
    """

    def __init__(self, app: App):
        self.review, self.frames = Review(app), []

    def show(self, ms: int, key: str = "") -> None:
        """Takes a frame."""
        page = self.review.page
        page.mouse.move(1, 1)
        page.evaluate(PRESSED, key)
        page.wait_for_timeout(SETTLED_MS)
        picture = self.review.cy("review").screenshot()
        self.frames.append((Image.open(io.BytesIO(picture)).convert("RGB"), ms))

    def press(self, *keys: str, ms: int = 1200) -> None:
        """Presses keys, each with a frame of what followed."""
        for key in keys:
            self.review.press(key)
            self.show(ms, {"ArrowRight": "→", " ": "Space"}.get(key, key))

    def save(self, path: Path) -> Path:
        """Writes the frames as WebP."""
        images, times = zip(*self.frames, strict=True)
        for quality in QUALITIES:
            options: dict[str, Any] = {"save_all": True, "append_images": images[1:], "duration": times, "loop": 0}
            images[0].save(path, quality=quality, method=6, **options)
            if path.stat().st_size <= MOST_BYTES:
                return path
        raise RuntimeError(f"{path} has more than {MOST_BYTES} bytes")


def of_a_review(app: App) -> Animation:
    """Names and confirms a group, shows its images, answers questions, undoes an answer, shows the history."""
    app.page.set_viewport_size({"width": SIZE[0], "height": SIZE[1]})
    taken, review = Animation(app), Review(app)
    review.open()
    review.cy("review-choose-0").click()  # images, not detections
    review.cy("review-card").first.wait_for()
    review.unsigned()
    review.cy("review-sort").select_option("size")
    review.page.wait_for_function(
        "() => [...document.querySelectorAll('.cr-thumb img')].slice(0, 8).every((each) => each.complete)"
    )
    review.cy("review").focus()
    taken.show(2200)
    review.press("r")
    review.page.keyboard.type("Midori 緑")
    taken.show(1600, "r")
    taken.press("Enter")
    taken.press("c", "d", ms=1600)
    review.press("Escape")
    review.press("q")
    review.question()
    taken.show(2000, "q")
    for _ in range(N_ANSWERS):
        shown, kind = review.question()
        review.press(KEYS[kind])
        review.question(other_than=shown)
        taken.show(1200, KEYS[kind])
    taken.press("u", ms=1600)
    review.all_kept()
    review.press("p")
    review.cy("review-history-row").first.wait_for()
    taken.show(3000, "p")
    return taken
