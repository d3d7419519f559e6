"""Questions about pairs of images: asked, answered, kept with the dataset, learned from."""

import threading

import fiftyone as fo
import pytest

from ccip_plugin.evaluation.calibration import calibrate
from ccip_plugin.grouping.calibrated import load_calibrated
from ccip_plugin.labels.answers import PairAnswer, load_answers, save_answers
from ccip_plugin.review.questions import NothingToAskError, Questions
from tests.support.groups import embed

pytestmark = pytest.mark.mongo

LETTERS = "".join(letter * 6 for letter in "abcdefgh") + "A" * 6


@pytest.fixture
def made(dataset):
    def make(letters, **options):
        new = dataset(*[f"/絵/{n}.png" for n in range(len(letters))], **options)
        embed(new, letters)
        return new

    return make


def answer_all(questions, who, n):
    """A reviewer who knows."""
    asked = 0
    while asked < n and (pairs := questions.next(min(10, n - asked))):
        for first, second in pairs:
            questions.answer(first, second, who[first] == who[second])
        asked += len(pairs)


def test_answers_are_kept_and_no_pair_is_asked_twice(made):
    samples = made("aabbccddee")
    ids = set(samples.values("id"))
    first = Questions(samples)
    asked = first.next(5)
    assert len(asked) == 5 and ids >= {key for pair in asked for key in pair}
    first.answer(*asked[0], True)
    first.answer(*asked[1], None)
    first.answer(*reversed(asked[0]), False)  # on second thoughts
    assert load_answers(samples) == [PairAnswer(*reversed(asked[0]), False), PairAnswer(*asked[1], None)]
    again = Questions(samples).next(50)
    assert not {frozenset(pair) for pair in again} & {frozenset(pair) for pair in asked[:2]}
    clone = samples.clone()
    try:
        assert load_answers(clone) == load_answers(samples)
    finally:
        clone.delete()


def test_several_people_answer_at_once(made):
    samples = made("aabb")
    ids = samples.values("id")
    pairs = [(ids[0], ids[n]) for n in (1, 2, 3)]
    threads = [threading.Thread(target=save_answers, args=(samples, [PairAnswer(*pair, True)])) for pair in pairs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {(each.first, each.second) for each in load_answers(samples)} == set(pairs)


def test_calibration_learns_from_answers_alone(made):
    samples = made(LETTERS)
    who = dict(zip(samples.values("id"), LETTERS, strict=True))
    questions = Questions(samples)
    answer_all(questions, who, 80)
    assert questions.fit().is_enough and questions.fit().n_answers == 80
    found = calibrate(samples)
    assert found.recommendation.is_from_answers and found.is_enough
    assert found.recommendation.threshold == questions.fit().threshold
    assert found.facts()["Evidence"] == "80 answers about pairs"
    assert found.parameters("linkage").eps == found.recommendation.threshold
    again = load_calibrated(samples)
    assert str(again) == str(found) and again.parameters("linkage").eps == found.recommendation.threshold


def test_few_answers_are_too_thin(made):
    samples = made(LETTERS)
    who = dict(zip(samples.values("id"), LETTERS, strict=True))
    answer_all(Questions(samples), who, 10)
    found = calibrate(samples)
    assert not found.is_enough and found.parameters("linkage") is None
    assert "10 answers about pairs, 40 of both kinds are needed" in str(found)
    assert "keep the published threshold" in str(found)


def test_answers_about_images_that_are_gone_are_left_out(made):
    samples = made("aabbc")
    ids = samples.values("id")
    save_answers(samples, [PairAnswer(ids[0], ids[1], True), PairAnswer(ids[2], ids[4], False)])
    samples.delete_samples([ids[4]])
    assert Questions(samples).fit().n_answers == 1
    assert calibrate(samples, keep=False).recommendation.n_answers == 1


def test_detections_have_answers_of_their_own(dataset):
    samples = dataset("/a.png")
    boxes = [fo.Detection(label="face", bounding_box=[0, 0, 1, 1]) for _ in "aab"]
    samples.set_values("faces", [fo.Detections(detections=boxes)])
    embed(samples, "aab", "faces")
    questions = Questions(samples, patches_field="faces")
    (pair,) = questions.next(1)
    questions.answer(*pair, True)
    assert set(pair) <= set(samples.values("faces.detections.id", unwind=True))
    assert load_answers(samples) == [] and len(load_answers(samples, patches_field="faces")) == 1
    assert samples.list_runs() == ["ccip_answers_faces"]


@pytest.mark.parametrize("letters", ["", "a", " a"])
def test_nothing_to_ask(made, letters):
    with pytest.raises(NothingToAskError, match="two make a pair"):
        Questions(made(letters))
