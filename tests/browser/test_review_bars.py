"""How long somebody waits in the review panel; ``benchmarks/review_browser.py`` has the bars of a quiet machine."""

import statistics

import fiftyone as fo
import pytest

from tests.support.app.review_data import large_dataset
from tests.support.app.review_panel import Review
from tests.support.app.review_times import Times

pytestmark = [pytest.mark.mongo, pytest.mark.browser, pytest.mark.slow]

N_IMAGES, N_GROUPS = 2_000, 400
BUSY = 3  # times as long as on a quiet machine
OPEN_MS, PAGE_MS, TYPING_MS, KEY_MS, HEAP_MB = 2_000, 500, 100, 60, 100
N_KEYS, N_BURST, N_PAGES = 20, 10, 8
LOOK_MS = 2_000
TYPED = "17", "35", "24"


@pytest.fixture(scope="module")
def large(mongo, tmp_path_factory):
    data = large_dataset(N_IMAGES, N_GROUPS, tmp_path_factory.mktemp("large"), is_doubtful=True)
    yield data
    fo.delete_dataset(data.name)


@pytest.fixture
def gallery(large):
    return large


@pytest.fixture
def review(app, gallery):
    app.open(gallery.name)
    return Review(app)


def test_waiting(review):
    times = Times(review)
    with review.app.shot_on_failure("bars"):
        review.open()  # the server reads the groups
        review.cards(24)
        review.unsigned()
        review.close()
        medians = {"open": statistics.median(_openings(review, times))}
        medians["page"] = statistics.median(times.paging(N_PAGES))
        medians["typing"] = statistics.median(times.typing(TYPED))
        review.tab("questions")
        medians["key"] = statistics.median(times.answering(N_KEYS))
        review.all_kept()
        n_before = len(times.calls("answer"))
        times.burst(N_BURST)
        review.all_kept()
        medians["heap"] = times.heap()
    print(medians)
    bars = {"open": OPEN_MS, "page": PAGE_MS, "typing": TYPING_MS, "key": KEY_MS, "heap": HEAP_MB}
    assert {name: value for name, value in medians.items() if value > BUSY * bars[name]} == {}
    assert len(times.calls("answer")) - n_before == N_BURST
    assert not review.cy("review-aside").count()


def test_the_next_page_is_there_before_the_server_is_asked(review):
    review.open()
    review.unsigned()
    review.cards(24)
    review.page.wait_for_timeout(LOOK_MS)
    with review.pages_held():
        before = review.names()
        review.press("PageDown")
        review._expect(review.cy("review-range")).to_have_attribute("data-page", "1")
        review._expect(review.cy("review-card").locator("b").first).not_to_have_text(before[0])
        after = review.names()
    assert len(after) == 24 and not {*before} & {*after}


def _openings(review, times):
    for _ in range(3):
        yield times.opening()[0]
        review.close()
    yield times.opening()[0]
