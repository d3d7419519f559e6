import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccip_plugin.core import references as module
from ccip_plugin.core.differences import difference, differences
from ccip_plugin.core.errors import ParameterError, VectorsError
from ccip_plugin.core.references import NO_MATCH, References, match


def at(*wanted: float) -> np.ndarray:
    """Embeddings with these differences to ``at(0)``, all on one side of it."""
    angles = np.arccos(1 - 2 * np.array(wanted, np.float64))
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def slowly(image, characters, threshold, share):
    """The rule, in the plainest words: the name or None, the nearest name, its difference and margin."""
    found = []
    for name, vectors in characters.items():
        sorted_ = sorted(difference(image, vector) for vector in vectors)
        deciding = sorted_[math.ceil(share * len(sorted_) - 1e-9) - 1]
        found.append((deciding > threshold, float(np.mean(sorted_)), name, deciding))
    is_far, mean, name, deciding = min(found, key=lambda row: row[:2])
    margin = min((row[1] for row in found if row[2] != name), default=math.inf) - mean
    return None if is_far else name, name, deciding, margin


@settings(max_examples=80, deadline=None)
@given(
    counts=st.lists(st.integers(1, 6), min_size=1, max_size=5),
    n=st.integers(0, 7),
    share=st.sampled_from([0.01, 0.3, 0.5, 0.7, 1.0]),
    seed=st.integers(0, 99),
    cells=st.sampled_from([1, 30, 1 << 20]),
)
def test_is_the_rule_image_by_image(counts, n, share, seed, cells):
    random = np.random.default_rng(seed)
    middles = random.normal(size=(len(counts), 8))
    characters = {
        f"キャラ {i}": (middles[i] + 0.5 * random.normal(size=(count, 8))).astype(np.float32)
        for i, count in enumerate(counts)
    }
    images = (middles[random.integers(0, len(counts), n)] + 0.6 * random.normal(size=(n, 8))).astype(np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_BLOCK_ENTRIES", cells)
        found = match(images, References.of(characters), threshold=0.1, share=share)
    names = list(characters)
    for i, image in enumerate(images):
        name, nearest, deciding, margin = slowly(image, characters, 0.1, share)
        assert found.nearest[i] == names.index(nearest)
        assert found.character[i] == (NO_MATCH if name is None else names.index(name))
        assert found.difference[i] == pytest.approx(deciding, abs=1e-6)
        assert found.margin[i] == pytest.approx(margin, abs=1e-6)


IMAGE = at(0)[0]


@pytest.mark.parametrize(
    "characters, name, difference",
    [
        pytest.param({"a": [0.1]}, "a", 0.1, id="one reference, near"),
        pytest.param({"a": [0.21]}, None, 0.21, id="one reference, too far"),
        pytest.param({"a": [0.05, 0.19, 0.4]}, "a", 0.19, id="one odd reference of three keeps nobody out"),
        pytest.param({"a": [0.05, 0.3, 0.4]}, None, 0.3, id="one of three draws nobody in"),
        pytest.param({"a": [0.1, 0.4]}, "a", 0.1, id="half is enough"),
        pytest.param({"a": [0.05, 0.06, 0.4, 0.4, 0.4], "b": [0.15]}, "b", 0.15, id="near ones, but too few"),
        pytest.param({"a": [0.01, 0.18, 0.19], "b": [0.1, 0.1]}, "b", 0.1, id="the smaller mean, not the nearest"),
        pytest.param({"a": [0.1, 0.21, 0.21], "b": [0.19, 0.19, 0.5]}, "b", 0.19, id="a smaller mean, but too few"),
        pytest.param({"a": [0.3], "b": [0.25]}, None, 0.25, id="nobody is near enough"),
    ],
)
def test_all_references_of_a_character_decide_together(characters, name, difference):
    references = References.of({character: at(*apart) for character, apart in characters.items()})
    found = match(IMAGE, references, threshold=0.2)
    assert (None if found.character[0] == NO_MATCH else references.names[found.character[0]]) == name
    assert found.difference[0] == pytest.approx(difference, abs=1e-6)


def test_margin_is_by_how_much_the_next_character_is_farther_in_the_mean():
    references = References.of({"a": at(0.1, 0.12), "b": at(0.3, 0.34), "c": at(0.4)})
    assert match(IMAGE, references, threshold=0.2).margin[0] == pytest.approx(0.32 - 0.11, abs=1e-6)
    assert match(IMAGE, References.of({"a": at(0.1)}), threshold=0.2).margin[0] == math.inf


@pytest.mark.parametrize("apart", [1e-4, 0.1, 0.178, 0.5])
def test_a_difference_of_exactly_the_threshold_is_within_it(apart):
    references = References.of({"a": at(0.9), "b": at(apart), "c": at(0.95)})
    exact = float(differences(IMAGE, at(apart))[0, 0])
    assert match(IMAGE, references, threshold=exact).character[0] == 1
    assert match(IMAGE, references, threshold=np.nextafter(exact, 0)).character[0] == NO_MATCH


def test_another_order_of_the_references_changes_nothing():
    apart = {"a": [0.1, 0.3, 0.05], "b": [0.2, 0.15], "c": [0.12]}
    there = match(IMAGE, References.of({name: at(*many) for name, many in apart.items()}), threshold=0.2)
    back = References.of({name: at(*many[::-1]) for name, many in reversed(apart.items())})
    found = match(IMAGE, back, threshold=0.2)
    assert back.names[found.character[0]] == "abc"[there.character[0]]
    assert found.difference == there.difference


def test_another_measure_can_be_given():
    references = References.of({"a": at(0.3), "b": at(0.4)})
    squared = lambda a, b: differences(a, b) ** 2  # noqa: E731
    assert match(IMAGE, references, threshold=0.1, measure=squared).difference[0] == pytest.approx(0.09, abs=1e-6)


@pytest.mark.parametrize("share, character", [(0.1, 0), (0.25, 0), (0.5, NO_MATCH), (1.0, NO_MATCH)])
def test_share_says_how_many_references_have_to_be_near(share, character):
    references = References.of({"a": at(0.01, 0.3, 0.3, 0.3)})
    assert match(IMAGE, references, threshold=0.2, share=share).character[0] == character


def test_references_keep_names_and_get_unit_length():
    references = References.of({"ミク 🎤": [3 * IMAGE, at(0.1)[0]], "b": at(0.4)[0] * 9})
    assert references.names == ("ミク 🎤", "b")
    assert references.counts.tolist() == [2, 1]
    np.testing.assert_allclose(np.linalg.norm(references.vectors, axis=1), 1, atol=1e-6)
    assert references.vectors.dtype == np.float32


@pytest.mark.parametrize(
    "embeddings, message",
    [
        pytest.param({}, "no references", id="nobody"),
        pytest.param({"a": []}, "'a' has no reference", id="a character without references"),
        pytest.param({"a": np.empty((0, 4))}, "'a' has no reference", id="an empty array"),
        pytest.param({"a": [[0.0, 0.0]]}, "a reference of 'a'", id="zero"),
        pytest.param({"a": [1.0, np.nan]}, "a reference of 'a'", id="NaN"),
        pytest.param({"a": [1.0, 0.0], "b": [1.0, 0.0, 0.0]}, "dimensions", id="of two models"),
        pytest.param({" ": [1.0, 0.0]}, "needs a name", id="no name"),
    ],
)
def test_refuses_what_is_no_reference(embeddings, message):
    with pytest.raises(VectorsError, match=message):
        References.of(embeddings)


@pytest.mark.parametrize("options", [{"threshold": -0.1}, {"threshold": np.nan}, {"threshold": 0.2, "share": 0}])
def test_refuses_numbers_that_mean_nothing(options):
    with pytest.raises(ParameterError):
        match(IMAGE, References.of({"a": IMAGE}), **options)


@pytest.mark.parametrize("images", [[], np.empty((0, 2))])
def test_nobody_to_match(images):
    found = match(images, References.of({"a": IMAGE}), threshold=0.2)
    assert [len(column) for column in (found.character, found.nearest, found.difference, found.margin)] == [0] * 4
