"""Questions about pairs of images whose answers tell most about the threshold."""

from typing import Any

from fiftyone.core.collections import SampleCollection

from ..core.calibration import load as load_calibration
from ..core.errors import CCIPError, ParameterError
from ..core.progress import ProgressCallback, report
from ..core.tuning.questions import Answer, Fit, PairPool, choose_pairs, fit
from ..embeddings.load import load_embeddings
from ..labels.answers import PairAnswer, answers_among, load_answers
from ..labels.edits.report import EditReport
from ..labels.edits.together import answer_pair
from ..storage.connection import with_database_errors
from ..storage.fields import EMBEDDINGS_FIELD, GROUP_FIELD
from ..storage.targets import resolve


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
