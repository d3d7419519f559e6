"""What probabilities are computed from is the same for every model, whatever the size of its differences."""

import numpy as np
import pytest

from ccip_plugin.core.registry import MODELS
from ccip_plugin.core.review import features
from ccip_plugin.core.review.board import Board
from ccip_plugin.core.review.halves import Halves
from ccip_plugin.core.review.memory import Memory
from ccip_plugin.core.review.probabilities import Probabilities
from ccip_plugin.core.review.questions import rank

PLACES = (0.0, 0.3, 0.5, 1.1, 1.3, 1.6, 0.8)
"""Images on an arc: differences to the first one, in thresholds."""
GROUPS = (1, 1, 1, 2, 2, 2, 0)
THRESHOLDS = sorted({spec.threshold for spec in MODELS.values()})


def board_of(threshold):
    """Images whose differences are those of a model with this threshold."""
    angles = np.sqrt(4 * np.array(PLACES) * threshold)  # the difference is (1 - cos) / 2, about angle^2 / 4
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    return Board(vectors, GROUPS, threshold=threshold)


def features_of(threshold):
    board = board_of(threshold)
    first, second, differences = board.rival_pairs()
    halves = [Halves(np.array([0]), np.array([1, 2]), 0.9 * threshold, 0.5 * threshold)]
    rows, groups, far = board.candidate_pairs()
    return {
        "two groups": features.of_pairs(board, first, second, differences),
        "halves": features.of_halves(board, halves),
        "members": features.of_members(board, np.arange(6)),
        "candidates": features.of_candidates(board, rows, groups, far, np.zeros(len(rows), bool)),
    }


def test_models_differ_in_their_thresholds():
    assert THRESHOLDS[-1] > 1.4 * THRESHOLDS[0]


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_features_are_those_of_the_usual_model(threshold):
    usual = features_of(features.USUAL_THRESHOLD)
    for name, found in features_of(threshold).items():
        assert found.shape == usual[name].shape
        assert found == pytest.approx(usual[name], rel=0.1, abs=0.004), name


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_the_same_questions_are_asked_of_every_model(threshold):
    def asked(board):
        return {each.key: each.probability for each in rank(board, Memory(), Probabilities(), n=10)}

    usual, found = asked(board_of(features.USUAL_THRESHOLD)), asked(board_of(threshold))
    assert usual and found.keys() == usual.keys()
    assert found == {key: pytest.approx(p, abs=0.15) for key, p in usual.items()}
