"""Pieces of work that are killed: what was done before, and the call that is killed."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import fiftyone as fo

from ccip_plugin import (
    apply_proposal,
    compute_embeddings,
    delete_grouping,
    group_characters,
    propose_groups,
    redo,
    reject,
    undo,
)
from ccip_plugin.core.errors import CCIPError
from ccip_plugin.labels.edits.by_hand import record_by_hand
from ccip_plugin.labels.store import LabelStore
from ccip_plugin.storage.targets import resolve
from tests.attacks.curator import LETTERS, Curator
from tests.attacks.states import FIELD, PEOPLE

N_EDITS = 6


class Work:
    """A dataset to work on; the same seed gives the same items, edits and calls.

    Args:
        dataset: an empty dataset
        is_patches: whether its detections are grouped
        seed: for the edits by hand
        folder: of images and of the model, for embeddings
    """

    def __init__(self, dataset: fo.Dataset, is_patches: bool, seed: int, folder: Path):
        self.dataset, self.is_patches, self.folder = dataset, is_patches, folder
        self.field = {"patches_field": PEOPLE if is_patches else None}
        self.curator = Curator(dataset, is_patches, random.Random(f"{seed} work"))

    def part(self, *places: int):
        """Some items, as a view."""
        ids = self.curator.ids()
        view = self.dataset.to_patches(PEOPLE) if self.is_patches else self.dataset
        return view.select([ids[place] for place in places])

    def edit(self) -> None:
        """A few edits by hand."""
        for _ in range(N_EDITS):
            self.curator.rename()
            self.curator.set_status()
        self.dataset.reload()

    def record(self) -> int:
        """Has the labels that were edited by hand recorded, as the next change does; returns their number."""
        store = LabelStore(resolve(self.dataset, self.field["patches_field"]), FIELD)
        return record_by_hand(store) if store.is_declared() else 0

    def put_back(self) -> None:
        """A rejection, and an edit that overrules it."""
        ids = self.curator.ids()[:2]
        names = self._labels(ids[:1])
        reject(self.part(0, 1), **self.field)
        self.dataset.reload()
        if self.is_patches:
            self.dataset.set_label_values(f"{PEOPLE}.detections.{FIELD}", {ids[0]: names[0]})
        else:
            self.dataset.select(ids[:1]).set_values(f"{FIELD}.label", names)
        self.dataset.reload()

    def _labels(self, ids: list[str]) -> list[str]:
        path = f"{PEOPLE}.detections.{FIELD}" if self.is_patches else f"{FIELD}.label"
        by_id = dict(zip(self.curator.ids(), self.dataset.values(path, unwind=self.is_patches), strict=True))
        return [by_id[item] for item in ids]

    # -- the calls

    def group(self) -> None:
        """A run."""
        group_characters(self.dataset, **self.field)

    def group_widely(self) -> None:
        """A run with another parameter: other groups."""
        group_characters(self.dataset, eps=0.32, **self.field)

    def group_part(self) -> None:
        """A run of a view."""
        group_characters(self.part(*range(0, 14)), eps=0.32, **self.field)

    def propose(self) -> None:
        """A proposal."""
        propose_groups(self.dataset, eps=0.32, **self.field)

    def apply(self) -> None:
        """Applies it."""
        apply_proposal(self.dataset, **self.field)

    def reject(self) -> None:
        """Rejects what is grouped among some items."""
        reject(self.part(2, 3, 4, 8, 9, 12), **self.field)

    def undo(self) -> None:
        """Undoes the last change."""
        undo(self.dataset, **self.field)

    def redo(self) -> None:
        """Repeats what was undone."""
        redo(self.dataset, **self.field)

    def delete(self) -> None:
        """Deletes the grouping."""
        delete_grouping(self.dataset, **self.field)

    def embed(self) -> None:
        """Computes embeddings."""
        compute_embeddings(self.dataset, model_dir=str(self.folder / "models"), workers=1, **self.field)

    # -- what was done before

    def fill(self) -> None:
        """Items with embeddings."""
        self.curator.add_samples(LETTERS)

    def fill_images(self) -> None:
        """Images without embeddings, two detections in each."""
        for path in sorted((self.folder / "images").iterdir()):
            sample = fo.Sample(str(path))
            if self.is_patches:
                boxes = [[0, 0, 0.5, 1], [0.5, 0, 0.5, 1]]
                sample[PEOPLE] = fo.Detections(
                    detections=[fo.Detection(label="face", bounding_box=box) for box in boxes]
                )
            self.dataset.add_sample(sample)

    def call(self, name: str) -> str:
        """Does a step; returns the name of the error that it raises, if any, which is to be one of ours."""
        try:
            getattr(self, name)()
        except CCIPError as error:
            return type(error).__name__
        finally:
            self.dataset.reload()
        return ""


@dataclass(frozen=True)
class Job:
    """A piece of work.

    Attributes:
        before: the steps before, which are methods of :class:`Work`
        step: the step that is killed
    """

    before: tuple[str, ...]
    step: str

    def prepare(self, work: Work) -> Callable[[], str]:
        """Does the steps before; returns the one to kill."""
        for name in self.before:
            assert work.call(name) == "", name
        return lambda: work.call(self.step)


_EDITED = ("fill", "group", "edit")
JOBS: dict[str, Job] = {
    "first run": Job(("fill",), "group"),
    "run after edits": Job(_EDITED, "group_widely"),
    "run of a part": Job(_EDITED, "group_part"),
    "run that lifts a rejection": Job(("fill", "group", "put_back"), "group_widely"),
    "proposal": Job((*_EDITED, "put_back", "propose"), "apply"),
    "rejection": Job(_EDITED, "reject"),
    "undo of a run": Job((*_EDITED, "group_widely", "edit"), "undo"),
    "undo of a lifted rejection": Job(("fill", "group", "put_back", "group_widely"), "undo"),
    "redo": Job((*_EDITED, "put_back", "group_widely", "undo"), "redo"),
    "deletion": Job((*_EDITED, "reject"), "delete"),
    "undo of a deletion": Job((*_EDITED, "delete"), "undo"),
    "embedding": Job(("fill_images",), "embed"),
}
