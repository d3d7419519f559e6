"""The review panel by keyboard alone, of detections, and with answers that are on their way when the page is closed."""

import contextlib
import os
import signal
import time

import fiftyone as fo
import numpy as np
import pytest

from ccip_plugin import group_characters, history
from ccip_plugin.review.records import Records
from tests.support.app.review_panel import Review
from tests.support.groups import embed, vector

pytestmark = [pytest.mark.mongo, pytest.mark.browser, pytest.mark.slow]

FIELD, FACES = "character_group", "faces"
CHARACTERS, PER_GROUP = "abcdef", 6
N_GROUPS = 2 * len(CHARACTERS)  # each character was taken for two
NAME = "初音ミク"
SIGNED = "if (location.host) localStorage.setItem('ccip-review-by', 'Rei')"
TABS = 60  # more than there are parts to come by


@pytest.fixture
def gallery(dataset, images, tmp_path):
    letters = "".join(character * PER_GROUP for pair in CHARACTERS for character in (pair, pair.upper()))
    paths = images(letters.lower(), size=(240, 320))
    data = dataset(*paths, name=f"story-{os.getpid()}-{tmp_path.name}", persistent=True)
    embed(data, letters)
    data.set_values("ccip_embedding", near(letters))
    group_characters(data, method="dbscan", eps=0.03, min_samples=3)
    return data


@pytest.fixture
def review(app, gallery):
    app.page.add_init_script(SIGNED)
    app.open(gallery.name)
    review = Review(app)
    with app.shot_on_failure("story"):
        review.open()
        yield review


def near(letters):
    """Vectors with which capitals are near their small letter."""
    vectors = [vector(letter, n) + 0.55 * vector(letter.lower(), 99) for n, letter in enumerate(letters)]
    return [each / np.linalg.norm(each) for each in vectors]


def names(data):
    data.reload()
    return data.values(f"{FIELD}.label")


def done(data):
    """What was changed and not undone, oldest first."""
    data.reload()
    return [each.action for each in history(data)[::-1] if not each.is_undone]


# -- by keyboard alone


def find(review, text):
    review._expect(review.cy("review-keys-on")).to_have_attribute("data-on", "true")
    review.press("/")
    review.page.wait_for_function("document.activeElement.dataset.cy === 'review-find'")
    review.press("Control+a", "Backspace")
    review.page.keyboard.type(text)
    review.press("Enter")  # leaves the field, and what was typed in it
    assert review.cy("review-find").input_value() == text


def tab_to(review, part):
    """Presses Tab until a part has the focus."""
    for _ in range(TABS):
        review.press("Tab")
        if review.page.evaluate("document.activeElement.dataset.cy") == part:
            return
    pytest.fail(f"Tab does not lead to {part}")


def compose(review, kana, text):
    """Types with an input method: what is composed, and what it becomes."""
    session = review.page.context.new_cdp_session(review.page)
    place = {"selectionStart": len(kana), "selectionEnd": len(kana)}
    session.send("Input.imeSetComposition", {"text": kana, **place})
    session.send("Input.insertText", {"text": text})
    session.detach()


def card(review, name, size):
    """Waits until the only card is that of a group, with its number of images."""
    review.cards(1)
    shown = review.cy("review-card").first
    review._expect(shown.locator("b").first).to_have_text(name)
    review._expect(shown.locator(".cr-size")).to_have_text(str(size))


def wait_for(data, n):
    """Waits until as many changes are done, their labels too."""
    for _ in range(100):
        if len(done(data)) == n and all(each.is_finished for each in history(data)):
            return
        time.sleep(0.1)
    assert len(done(data)) == n


def test_a_review_by_keyboard_alone(review, gallery):
    review.cards(N_GROUPS)
    press, n_first = review.press, len(done(gallery))
    # name
    find(review, "char_0003")
    review.cards(1)
    press("r")
    review.cy("review-name").wait_for()
    compose(review, "はつねみく", NAME)
    press("Enter")
    review.cy("review-dialog").wait_for(state="detached")
    wait_for(gallery, n_first + 1)
    assert names(gallery).count(NAME) == PER_GROUP
    # merge
    find(review, "")
    review.cards(N_GROUPS)
    press("ArrowRight", "s", "ArrowRight", "s", "m")
    review.cy("review-dialog").wait_for()
    press("Enter")
    review.cards(N_GROUPS - 1)
    wait_for(gallery, n_first + 2)
    # split
    press("ArrowRight", "x")
    review.cy("review-dialog").wait_for()
    press("Enter")
    review.cards(N_GROUPS)
    wait_for(gallery, n_first + 3)
    # move three
    find(review, NAME)
    review.cards(1)
    press("d")
    review.cy("review-picture").first.wait_for()
    for _ in range(3):
        tab_to(review, "review-picture")
        press(" ")
    review._expect(review.cy("review-picture", marked="true")).to_have_count(3)
    press("v")
    review.cy("review-name").wait_for()
    review.page.keyboard.type("Asuka")
    press("Enter")
    wait_for(gallery, n_first + 4)
    assert (names(gallery).count("Asuka"), names(gallery).count(NAME)) == (3, PER_GROUP - 3)
    review._expect(review.cy("review-picture", marked="true")).to_have_count(0)  # the panel has heard of it
    # confirm, ignore
    press("Escape")
    find(review, "Asuka")
    card(review, "Asuka", 3)  # these are confirmed, as they were moved
    find(review, NAME)
    card(review, NAME, PER_GROUP - 3)
    press("c")
    wait_for(gallery, n_first + 5)
    press("i")
    review.cy("review-dialog").wait_for()
    press("Tab", "Enter")
    wait_for(gallery, n_first + 6)
    gallery.reload()
    statuses = gallery.values(f"{FIELD}.status")
    assert (statuses.count("confirmed"), statuses.count("ignored")) == (3, PER_GROUP - 3)
    # questions, undo, redo
    press("q")
    kinds = [review.answer()[1] for _ in range(5)]
    review.all_kept()
    n_changes = len(done(gallery))
    before = names(gallery)
    _, kind = review.question()
    press("y" if kind in ("same", "halves", "whole") else "Enter" if kind in ("out", "in") else "1")
    review.all_kept()
    wait_for(gallery, n_changes + 1)
    after = names(gallery), gallery.values(f"{FIELD}.status")
    press("u")
    review.all_kept()
    wait_for(gallery, n_changes)
    assert names(gallery) == before
    press("p")
    review.cy("review-history-row").first.wait_for()
    press("r")
    wait_for(gallery, n_changes + 1)
    assert (names(gallery), gallery.values(f"{FIELD}.status")) == after
    print(kinds, kind)
    wanted = ["rename_group", "merge_groups", "split_group", "move", "confirm", "ignore"]
    assert done(gallery)[n_first : n_first + 6] == wanted
    assert {each.by for each in history(gallery)[: len(wanted)]} == {"Rei"}


# -- detections


@pytest.fixture
def both(gallery):
    """The gallery with grouped detections as well: two in an image."""
    letters = "".join(2 * PER_GROUP * character for character in CHARACTERS)
    for sample in gallery:
        boxes = ([0, 0, 0.5, 1], [0.5, 0, 0.5, 1])
        sample[FACES] = fo.Detections(detections=[fo.Detection(label="face", bounding_box=box) for box in boxes])
        sample.save()
    letters = "".join(character.upper() * (n % 2) or character for n, character in enumerate(2 * letters))
    embed(gallery, letters, FACES)
    ids = gallery.values(f"{FACES}.detections.id", unwind=True)
    gallery.set_label_values(f"{FACES}.detections.ccip_embedding", dict(zip(ids, near(letters), strict=True)))
    group_characters(gallery, patches_field=FACES, method="dbscan", eps=0.03, min_samples=3)
    return gallery


def faces(data):
    data.reload()
    return data.values(f"{FACES}.detections.{FIELD}", unwind=True)


def test_images_or_detections_are_chosen_and_answered(app, both):
    app.page.add_init_script(SIGNED)
    app.open(both.name)
    review = Review(app)
    with app.shot_on_failure("sources"):
        review.open()
        review.cy("review-choose-1").wait_for()
        review.press("2")
        review.cards(len(set(faces(both))))
        review.cy("review-card").first.locator("img").first.wait_for()
        app.shot("review-detections")
        images_before, faces_before = names(both), faces(both)
        review.tab("questions")
        review.cy("review-kinds").select_option("same")
        review.question()
        review.press("y")
        review.all_kept()
        assert len(set(faces(both))) == len(set(faces_before)) - 1
        assert names(both) == images_before
        old, _ = review.question()
        review.cy("review-source").select_option("0")
        review.press("y")  # too early: it is a question about detections
        review.question(other_than=old)
        review.press("y")
        review.all_kept()
        assert len(set(names(both))) == len(set(images_before)) - 1
        assert len(set(faces(both))) == len(set(faces_before)) - 1
        app.page.reload()
        app.cy("looker").first.wait_for()
        review.cy("review-question").wait_for()  # of the images, which were reviewed last
        assert review.cy("review-source").input_value() == "0"


# -- the page is closed


@contextlib.contextmanager
def stopped(server):
    """The server does nothing."""
    os.kill(server.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.process.pid, signal.SIGCONT)


def test_answers_on_their_way_are_kept_when_the_page_is_closed(review, gallery, app_server):
    review.page.on("dialog", lambda dialog: dialog.accept())  # "leave the page?"
    review.page.route("**/elsewhere", lambda route: route.fulfill(body="another page"))
    review.tab("questions")
    review.question()
    address = review.page.url
    with stopped(app_server):
        given = [review.answer()[1] for _ in range(4)]
        assert review.cy("review-unsaved").get_attribute("data-n") == "4"
        review.page.goto(f"{app_server.url}/elsewhere")
    records = Records(gallery, FIELD)
    for _ in range(600):
        records.refresh()
        if len(records.counted(records.heads())) == len(given):
            break
        time.sleep(0.1)
    assert sorted(each.kind for each in records.counted(records.heads())) == sorted(given)
    review.page.goto(address)
    assert "4" in review.cy("review-notice").inner_text()
    review.question()
    records.refresh()
    assert records.n == len(given), "and none of them twice"
