"""Questions about pairs of images whose answers tell most about the threshold."""

from typing import Any

import fiftyone as fo
from fiftyone.core.collections import SampleCollection

from ..core.calibration import load as load_calibration
from ..core.errors import CCIPError, ParameterError, check_type
from ..core.progress import ProgressCallback, report
from ..core.review.kinds import Question
from ..core.tuning.questions import Answer, Fit, PairPool, choose_pairs, fit
from ..embeddings.load import load_embeddings
from ..labels.answers import PairAnswer, answers_among, load_answers
from ..labels.edits.report import EditReport
from ..labels.edits.together import answer_pair
from ..storage.connection import with_database_errors
from ..storage.fields import EMBEDDINGS_FIELD, GROUP_FIELD
from ..storage.targets import check_field_name, resolve
from .board import BOARDS, ReviewBoard
from .past import disputes_page
from .queue import queue_of
from .single import ordered_view, several_items
from .sources import chosen_source, plain_source


class ReviewQuestions(list[dict[str, Any]]):
    """Questions about groups, the ones first whose answers are worth most; see :func:`review_queue`.

    Args:
        board: the groups
        n: the largest number of questions
    """

    def __init__(self, board: ReviewBoard, n: int):
        self._board = board
        with board.lock:
            super().__init__(_plain(board, each) for each in queue_of(board).next(None, n))

    @with_database_errors
    def disputes(self, n: int = 20) -> list[dict[str, Any]]:
        """Answers that contradict each other, of one person or of two, the latest first.

        Args:
            n (20): the largest number of them, at most 100

        Returns:
            for each a dict with its ``kind``, "contradiction" or, of two persons, "disagreement"; what it is ``about``;
            the ids of its ``groups`` and of at most 12 ``items``; ``sides``, the answers, the latest first: ``same``,
            ``said``, ``by``, ``at`` and the ``number`` of the change; and what holds ``now``
        """
        check_number(n)
        self._board.refresh()
        with self._board.lock:
            rows: list[dict[str, Any]] = disputes_page(self._board, queue_of(self._board), n=n)["rows"]
            return [{name: value for name, value in row.items() if name != "pictures"} for row in rows]

    @with_database_errors
    def several(self) -> fo.DatasetView:
        """The images, or detections, of which it was said that they show several characters, for a detector.

        Returns:
            a view of them, the last ones first; of detections a patches view
        """
        self._board.refresh()
        with self._board.lock:
            ids = several_items(self._board, queue_of(self._board))
        return ordered_view(self._board.store.target, ids, None)


def _plain(board: ReviewBoard, question: Question) -> dict[str, Any]:
    return {
        "kind": question.kind,
        "groups": [board.name(group) for group in question.groups if group],
        "items": [[board.ids[row] for row in part] for part in question.items],
        "difference": question.difference,
        "gain": question.gain,
    }


def check_number(n: object) -> None:
    """Checks a number of questions.

    Raises:
        ParameterError: it is none
    """
    wanted = "a number from 1 to 100"
    check_type("n", n, int, wanted)
    if isinstance(n, bool) or not isinstance(n, int) or not 1 <= n <= 100:
        raise ParameterError("n", n, wanted)


@with_database_errors
def review_queue(
    samples: SampleCollection,
    *,
    n: int = 12,
    group_field: str = GROUP_FIELD,
    patches_field: str | None = None,
) -> ReviewQuestions:
    """The questions about the groups whose answers are worth most, as the review panel asks them. Nothing is written.

    Args:
        samples: the dataset, or any view of it
        n (12): the largest number of questions, at most 100
        group_field ("character_group"): the field with the groups
        patches_field (None): the field with the detections, when they were grouped

    Returns:
        for each question a dict with its ``kind``, ``groups`` as names, ``items`` as lists of ids, ``difference`` and
        ``gain``, the number of images that an answer puts right on average. The list is a :class:`ReviewQuestions`: its
        ``disputes()`` are the answers that contradict each other, its ``several()`` is a view of the images that show
        several characters

    Raises:
        ReviewError: there are no groups, or no embeddings
    """
    check_number(n)
    target = resolve(samples, patches_field)
    check_field_name(group_field)
    board = BOARDS.get(target.dataset, chosen_source(target.dataset, plain_source(group_field, target.patches_field)))
    return ReviewQuestions(board, n)


class NothingToAskError(CCIPError):
    """There are no two images with an embedding."""


class Questions:
    """Questions about the pairs of images whose answers are most informative about the threshold.

    Every answer is stored with the dataset immediately, in the run ``ccip_answers`` (``ccip_answers_<patches_field>``
    for detections), and :func:`~ccip_plugin.evaluation.calibration.calibrate` learns from it. Answers are about images,
    whatever model the embeddings are of; several people can answer at the same time.

    Where images are grouped, an answer is also a correction of their groups, which later runs keep and
    :func:`~ccip_plugin.labels.history.undo` undoes, with the answer.

    Args:
        samples: a dataset, a view or a patches view, with embeddings
        patches_field (None): the field with the detections, None for whole samples
        embeddings_field ("ccip_embedding"): the field with the embeddings
        group_field ("character_group"): the field with the groups that answers correct; None to correct none
        model_dir (None): a folder of models, for thresholds that differ from the published ones
        seed (0): selects the pairs
        progress (None): called with the stage and its progress

    Raises:
        NothingToAskError: fewer than two items have an embedding
    """

    @with_database_errors
    def __init__(
        self,
        samples: SampleCollection,
        *,
        patches_field: str | None = None,
        embeddings_field: str = EMBEDDINGS_FIELD,
        group_field: str | None = GROUP_FIELD,
        model_dir: Any = None,
        seed: int = 0,
        progress: ProgressCallback | None = None,
    ) -> None:
        self._target, self._seed, self._group_field = resolve(samples, patches_field), seed, group_field
        report(progress, "reading embeddings", 0, None)
        patches_field = self._target.patches_field
        self._embeddings = load_embeddings(
            self._target.view, embeddings_field=embeddings_field, patches_field=patches_field
        )
        if self._embeddings.provenance is None or len(self._embeddings.ids) < 2:
            n = len(self._embeddings.ids)
            raise NothingToAskError(f"{n} images have an embedding in {embeddings_field!r}, two make a pair")
        self._ids = frozenset(self._embeddings.ids)
        threshold = load_calibration(self._embeddings.provenance.model_name, model_dir=model_dir).threshold
        self._pool = PairPool(self._embeddings.vectors, threshold, seed=seed, progress=progress)

    def next(self, n: int = 10) -> list[tuple[str, str]]:
        """The ids of the items to ask about next; fewer where there are no more pairs.

        Args:
            n (10): how many pairs
        """
        ids, vectors = self._embeddings.ids, self._embeddings.vectors
        chosen = choose_pairs(self._pool, vectors, self._answers(), n=n, seed=self._seed)
        return [(ids[a], ids[b]) for a, b in chosen]

    def answer(self, first: str, second: str, is_same: bool | None) -> EditReport | None:
        """Keeps an answer with the dataset; a later one about the same pair takes its place.

        Where the images are grouped, the two are of one group then, confirmed, or no run puts them into one.

        Args:
            first: the id of the one
            second: the id of the other
            is_same: whether they show one character; None for "cannot tell", which changes no group

        Returns:
            an :class:`~ccip_plugin.labels.edits.report.EditReport` of what became of the groups; None where the images
            are not grouped

        Raises:
            ParameterError: these are not two images of the dataset
            LeaseHeldError: another process is writing
        """
        for item_id in (first, second):
            if item_id not in self._ids or first == second:
                raise ParameterError("answer", item_id, "two different ids of images with an embedding")
        return answer_pair(self._target, PairAnswer(first, second, is_same), group_field=self._group_field)

    def fit(self) -> Fit:
        """The threshold that follows from the answers so far, and how sure it is."""
        return fit(self._pool, self._embeddings.vectors, self._answers())

    def _answers(self) -> list[Answer]:
        return answers_among(load_answers(self._target), self._embeddings.ids)
