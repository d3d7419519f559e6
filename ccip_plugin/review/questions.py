"""Questions about pairs of images whose answers tell most about the threshold."""

from typing import Any

from fiftyone.core.collections import SampleCollection

from ..core.calibration import load as load_calibration
from ..core.errors import CCIPError, ParameterError, check_type
from ..core.progress import ProgressCallback, report
from ..core.tuning.questions import Answer, Fit, PairPool, choose_pairs, fit
from ..embeddings.load import load_embeddings
from ..labels.answers import PairAnswer, answers_among, load_answers
from ..labels.edits.report import EditReport
from ..labels.edits.together import answer_pair
from ..storage.connection import with_database_errors
from ..storage.fields import EMBEDDINGS_FIELD, GROUP_FIELD
from ..storage.targets import check_field_name, resolve
from .board import BOARDS
from .queue import queue_of
from .sources import chosen_source, plain_source


@with_database_errors
def review_queue(
    samples: SampleCollection,
    *,
    n: int = 12,
    group_field: str = GROUP_FIELD,
    patches_field: str | None = None,
) -> list[dict[str, Any]]:
    """The questions about the groups whose answers are worth most, as the review panel asks them. Nothing is written.

    Args:
        samples: the dataset, or any view of it
        n (12): the largest number of questions, at most 100
        group_field ("character_group"): the field with the groups
        patches_field (None): the field with the detections, when they were grouped

    Returns:
        for each question a dict with its ``kind``, ``groups`` as names, ``items`` as lists of ids, ``difference`` and
        ``gain``, the number of images that an answer puts right on average

    Raises:
        ReviewError: there are no groups, or no embeddings
    """
    check_type("n", n, int, "a number of questions from 1 to 100")
    if isinstance(n, bool) or not 1 <= n <= 100:
        raise ParameterError("n", n, "a number of questions from 1 to 100")
    target = resolve(samples, patches_field)
    check_field_name(group_field)
    board = BOARDS.get(target.dataset, chosen_source(target.dataset, plain_source(group_field, target.patches_field)))
    with board.lock:
        return [
            {
                "kind": each.kind,
                "groups": [board.name(group) for group in each.groups if group],
                "items": [[board.ids[row] for row in part] for part in each.items],
                "difference": each.difference,
                "gain": each.gain,
            }
            for each in queue_of(board).next(None, n)
        ]


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
