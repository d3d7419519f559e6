"""The review panel in the App: cards, names as one types, questions by key, undo, what is stale, what is missing."""

import os

import pytest

from ccip_plugin import group_characters, rename_group
from tests.support.app.review_panel import Review
from tests.support.groups import embed

pytestmark = [pytest.mark.mongo, pytest.mark.browser, pytest.mark.slow]

FIELD = "character_group"
LETTERS = "aaaaaabbbbbbccccccddddddeeeeeeAAAABBBBCCCCDDDDEEEE"  # a and A look much alike, and are two groups
N_GROUPS = 10
NAME = "綾波 レイ"


@pytest.fixture
def gallery(dataset, images, tmp_path):
    """A persistent dataset of images in groups, the first of which has a name."""
    data = dataset(*images(LETTERS, size=(240, 320)), name=f"review-{os.getpid()}-{tmp_path.name}", persistent=True)
    embed(data, LETTERS)
    group_characters(data)
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


def labels(data):
    data.reload()
    return data.values(f"{FIELD}.label"), data.values(f"{FIELD}.status")


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
    review.press("Escape")
    review.cy("review-find").fill("")
    review.cards(N_GROUPS)
    review.cy("review-sort").select_option("name")
    review._expect(review.cy("review-card").last.locator("b")).to_have_text(NAME)
    review.cy("review-show").select_option("unnamed")
    review.cards(N_GROUPS - 1)


def test_a_group_is_looked_through(review, gallery):
    review.cy("review-sort").select_option("size")
    review.cards(N_GROUPS)
    review.press("ArrowRight", "d")
    review.cy("review-group").wait_for()
    review._expect(review.cy("review-picture")).to_have_count(6)
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
