"""The review panel in the App: cards, names as one types, questions by key, undo, what is stale, what is missing."""

import os

import numpy as np
import pytest

from ccip_plugin import group_characters, history, merge_groups, rename_group
from tests.support.app.review_panel import Review
from tests.support.groups import embed, vector

pytestmark = [pytest.mark.mongo, pytest.mark.browser, pytest.mark.slow]

FIELD = "character_group"
CHARACTERS = "abcdefgh"
PER_GROUP = 5
N_GROUPS = 2 * len(CHARACTERS)  # each character was taken for two
NAME = "綾波 レイ"
BURST = 6


@pytest.fixture
def gallery(dataset, images, tmp_path):
    """A persistent dataset of images in groups, of which each two are one character; the first has a name."""
    letters = "".join(PER_GROUP * (character + character.upper()) for character in CHARACTERS)
    letters = "".join(sorted(letters, key=str.swapcase))
    paths = images(letters.lower(), size=(240, 320))
    data = dataset(*paths, name=f"review-{os.getpid()}-{tmp_path.name}", persistent=True)
    embed(data, letters)
    vectors = [vector(letter, n) + 0.55 * vector(letter.lower(), 99) for n, letter in enumerate(letters)]
    data.set_values("ccip_embedding", [each / np.linalg.norm(each) for each in vectors])
    group_characters(data, method="dbscan", eps=0.03, min_samples=3)
    rename_group(data, data.first()[FIELD].label, NAME)
    return data


@pytest.fixture
def review(app, gallery):
    """The panel, open on the gallery."""
    app.open(gallery.name)
    review = Review(app)
    with app.shot_on_failure("review"):
        review.open()
        yield review


@pytest.fixture
def asked(review):
    """The panel with a question of the kind "same character?" on the screen."""
    review.tab("questions")
    review.cy("review-kinds").select_option("same")
    review.question()
    return review


def labels(data):
    data.reload()
    return data.values(f"{FIELD}.label"), data.values(f"{FIELD}.status")


def n_groups(data):
    return len(set(labels(data)[0]))


def test_groups_are_found_while_one_types(review):
    review.cards(N_GROUPS)
    assert NAME in review.names()
    review.app.shot("review-groups")
    review.press("/")
    review.page.keyboard.type("レイ")
    review.cards(1)
    assert review.names() == [NAME]
    review.app.shot("review-find")
    review.page.keyboard.type("nobody")
    review.cy("review-empty").wait_for()
    review.press("Escape")  # clears it
    review.cards(N_GROUPS)
    review.press("/")
    review.page.keyboard.type("レイ")
    review.press("Enter")  # keeps it
    review.cards(1)
    review.press("Escape")
    review.cards(N_GROUPS)
    review.cy("review-sort").select_option("name")
    review._expect(review.cy("review-card").last.locator("b")).to_have_text(NAME)
    review.cy("review-show").select_option("unnamed")
    review.cards(N_GROUPS - 1)


def test_names_are_found_before_the_server_answers(review):
    review.cards(N_GROUPS)
    review.press("/")
    review.cy("review-find").fill("char")  # the names are there when this is
    review.cards(N_GROUPS - 1)
    with review.pages_held():
        review.cy("review-find").fill("レイ")
        review.cards(1)
        assert review.names() == [NAME] and review.cy("review-range").get_attribute("data-n") == "1"
        assert not review.cy("review-card").locator("img").count()
        review.app.shot("review-found-by-name")
    review._expect(review.cy("review-card").locator("img")).to_have_count(PER_GROUP)


def test_a_group_is_looked_through(review, gallery):
    review.cy("review-sort").select_option("size")
    review.cards(N_GROUPS)
    review.press("ArrowRight", "d")
    review.cy("review-group").wait_for()
    review.press("x")  # the card that had the focus is gone; the keys stay with the panel
    review._expect(review.cy("review-said")).to_have_text("Mark pictures first.")
    review._expect(review.cy("review-picture")).to_have_count(PER_GROUP)
    review.app.shot("review-group")
    review.page.mouse.move(5, 5)
    review.cy("review-picture").first.click()
    review._expect(review.cy("review-picture").first).to_have_attribute("data-marked", "true")
    review.press(" ")
    review.page.locator("figure img").wait_for()
    review.app.shot("review-large")
    review.press(" ")
    review.page.locator("figure").wait_for(state="detached")
    review.press("Escape", "Escape")
    review.cards(N_GROUPS)


def test_a_question_is_answered_by_key_and_undo_brings_it_back(asked, gallery):
    before = labels(gallery)
    question, _ = asked.question()
    asked.app.shot("review-question")
    asked.press("y")
    following, _ = asked.question(other_than=question)
    assert following != question
    asked.all_kept()
    assert n_groups(gallery) == N_GROUPS - 1
    asked.press("u")
    asked.cy("review-question", id=question).wait_for()
    asked.all_kept()
    assert labels(gallery) == before
    asked.tab("progress")
    asked.cy("review-history-row", undone="true").first.wait_for()
    asked.app.shot("review-progress")


def test_a_key_before_its_question_is_on_the_screen_does_nothing(asked, gallery):
    question, _ = asked.question()
    asked.page.evaluate(
        """() => {
            const press = () => new KeyboardEvent("keydown", {key: "y", bubbles: true});
            document.activeElement.dispatchEvent(press());
            document.activeElement.dispatchEvent(press());  // the next question has not been painted
        }"""
    )
    asked.question(other_than=question)
    asked.all_kept()
    assert n_groups(gallery) == N_GROUPS - 1


@pytest.mark.parametrize("how", ["isComposing", "repeat", "ctrlKey", "altKey", "metaKey"])
def test_keys_that_are_no_answers(asked, how):
    question, _ = asked.question()
    asked.page.evaluate(
        """(how) => {
            const press = new KeyboardEvent("keydown", {key: "y", bubbles: true, [how]: true});
            document.activeElement.dispatchEvent(press);
        }""",
        how,
    )
    assert asked.question() == (question, "same")
    assert asked.cy("review-unsaved").get_attribute("data-n") == "0"


def test_a_burst_of_answers_is_kept(asked, gallery):
    with asked.slow_server():
        for _ in range(BURST):
            asked.answer()
        assert asked.cy("review-unsaved").get_attribute("data-n") == str(BURST)
        asked.app.shot("review-burst")
    asked.all_kept()
    asked.tab("progress")
    row = asked.cy("review-history-row").first
    asked._expect(row).to_contain_text(f"({BURST})")
    assert n_groups(gallery) == N_GROUPS  # they were different
    before = [change.number for change in history(gallery) if not change.is_undone]
    row.get_by_role("button", name="Undo").click()
    asked._expect(asked.cy("review-history-row", undone="true").first).to_contain_text(f"({BURST})")
    left = [change.number for change in history(gallery) if not change.is_undone]
    assert len(left) == len(before) - BURST, "the row is undone as a whole, and nothing else"


def test_a_question_about_what_was_changed_is_refused_and_put_aside(asked, gallery):
    question, _ = asked.question()
    ids = [int(each.get_attribute("data-id")) for each in asked.cy("review-side").all()]
    gallery.reload()
    label = {sample[FIELD].group_id: sample[FIELD].label for sample in gallery}
    merge_groups(gallery, [label[each] for each in ids])
    before = labels(gallery)
    asked.press("n")
    asked.cy("review-aside").wait_for()
    asked.app.shot("review-stale")
    following, _ = asked.question(other_than=question)
    assert following != question
    assert labels(gallery) == before


def test_groups_are_named_merged_and_confirmed_by_key(review, gallery):
    review.cy("review-sort").select_option("name")
    review.cards(N_GROUPS)
    review.page.locator(".cr-head").click(position={"x": 4, "y": 4})
    first, second = review.names()[:2]
    review.press("s", "ArrowRight", "s", "m")
    review.cy("review-dialog").wait_for()
    review.app.shot("review-merge")
    review.press("Enter")
    review.cards(N_GROUPS - 1)
    assert second not in review.names()
    review.press("ArrowLeft", "c")
    review.page.wait_for_function(
        "() => document.querySelector('[data-cy=review-progress]').dataset.confirmed === '10'"
    )
    review.press("r")
    review.cy("review-dialog").wait_for()
    review.page.keyboard.type("初音ミク")
    review.press("Enter")
    review._expect(review.page.get_by_text("初音ミク").first).to_be_visible()
    names, statuses = labels(gallery)
    assert names.count("初音ミク") == statuses.count("confirmed") == 2 * PER_GROUP
    assert first not in names
    for _ in range(3):
        review.press("u")
        review.page.wait_for_timeout(300)
    review.cards(N_GROUPS)


def test_one_image(review, gallery):
    review.tab("image")
    review.cy("review-empty").wait_for()
    review.tab("groups")
    review.app.tick_tile(1)  # it is known which one was selected, whatever is shown then
    review.tab("image")
    review.cy("review-image").wait_for()
    review._expect(review.cy("review-image").locator("h2")).to_contain_text(NAME)
    review.app.shot("review-image")


def test_keys_are_for_the_panel_only_when_it_has_the_focus(review):
    review._expect(review.cy("review-keys-on")).to_have_attribute("data-on", "true")
    review.page.locator('[data-cy="view-bar"] input').first.click()
    review._expect(review.cy("review-keys-on")).to_have_attribute("data-on", "false")
    review.press("Escape")
    review.page.mouse.click(5, 300)
    review.press("q")
    assert review.cy("review-tab-groups").get_attribute("aria-selected") == "true"
    review.page.locator(".cr-head").click(position={"x": 4, "y": 4})
    review.press("p")
    review._expect(review.cy("review-tab-progress")).to_have_attribute("aria-selected", "true")


def test_the_colours_are_those_of_the_app(review):
    dark = review.background()
    review.switch_theme()
    review.page.wait_for_function(
        "([theme, dark]) => getComputedStyle(document.querySelector(theme)).backgroundColor !== dark",
        arg=[".cr", dark],
    )
    review.app.shot("review-light")


@pytest.mark.parametrize("language, word", [("ja-JP", "グループ"), ("zh-CN", "分组"), ("fr", "Groups")])
def test_the_panel_speaks_the_language_of_the_browser(app, gallery, language, word):
    app.page.add_init_script(f"Object.defineProperty(navigator, 'languages', {{get: () => ['{language}', 'en']}})")
    app.open(gallery.name)
    review = Review(app)
    review.open()
    review._expect(review.cy("review-tab-groups")).to_contain_text(word)
    app.shot(f"review-{language}")


def test_without_embeddings_the_panel_says_so_and_helps(app, dataset, images, gallery, tmp_path):
    data = dataset(*images("ab"), name=f"bare-{os.getpid()}-{tmp_path.name}", persistent=True)
    app.open(data.name)
    review = Review(app)
    review.open()
    sentence = review.cy("review-problem").locator("span").first.inner_text()
    assert "Traceback" not in sentence
    assert sentence.endswith(".")
    review.cy("review-help").wait_for()
    app.shot("review-nothing")
