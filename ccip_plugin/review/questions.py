"""Questions about pairs of images whose answers tell most about the threshold."""

from typing import Any

from fiftyone.core.collections import SampleCollection

from ..core.calibration import load as load_calibration
from ..core.errors import CCIPError
from ..core.progress import ProgressCallback, report
from ..core.tuning.questions import Answer, Fit, PairPool, choose_pairs, fit
from ..embeddings.load import load_embeddings
from ..labels.answers import PairAnswer, answers_among, load_answers, save_answers
from ..storage.connection import with_database_errors
from ..storage.fields import EMBEDDINGS_FIELD
from ..storage.targets import resolve


class NothingToAskError(CCIPError):
    """There are no two images with an embedding."""


class Questions:
    """Questions about the pairs of images whose answers are most informative about the threshold.

    Every answer is stored with the dataset immediately, in the run ``ccip_answers`` (``ccip_answers_<patches_field>``
    for detections), and :func:`~ccip_plugin.evaluation.calibration.calibrate` learns from it. Answers are about images,
    whatever model the embeddings are of; several people can answer at the same time.

    Args:
        samples: a dataset, a view or a patches view, with embeddings
        patches_field (None): the field with the detections, None for whole samples
        embeddings_field ("ccip_embedding"): the field with the embeddings
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
        model_dir: Any = None,
        seed: int = 0,
        progress: ProgressCallback | None = None,
    ) -> None:
        self._target, self._seed = resolve(samples, patches_field), seed
        report(progress, "reading embeddings", 0, None)
        patches_field = self._target.patches_field
        self._embeddings = load_embeddings(
            self._target.view, embeddings_field=embeddings_field, patches_field=patches_field
        )
        if self._embeddings.provenance is None or len(self._embeddings.ids) < 2:
            n = len(self._embeddings.ids)
            raise NothingToAskError(f"{n} images have an embedding in {embeddings_field!r}, two make a pair")
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

    def answer(self, first: str, second: str, is_same: bool | None) -> None:
        """Keeps an answer with the dataset; a later one about the same pair takes its place.

        Args:
            first: the id of the one
            second: the id of the other
            is_same: whether they show one character; None for "cannot tell"
        """
        save_answers(self._target, [PairAnswer(first, second, is_same)])

    def fit(self) -> Fit:
        """The threshold that follows from the answers so far, and how sure it is."""
        return fit(self._pool, self._embeddings.vectors, self._answers())

    def _answers(self) -> list[Answer]:
        return answers_among(load_answers(self._target), self._embeddings.ids)
