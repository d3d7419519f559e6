"""Removes everything that this plugin keeps with a dataset."""

import contextlib
from dataclasses import dataclass, replace

import fiftyone as fo
from fiftyone.core.collections import SampleCollection

from ..brain.runs import delete_brain_run
from ..core.errors import CCIPError
from ..core.neighbors.files import delete_graphs, graphs_folder, has_graphs
from ..core.neighbors.vectors import unit_vectors
from ..core.progress import ProgressCallback, report
from ..embeddings.cache import VECTORS
from ..embeddings.load import load_embeddings
from ..embeddings.provenance import forget_provenance, read_provenance
from ..labels.deletion import delete_grouping
from ..labels.history.last_reports import STORE as REPORTS
from ..labels.label_schema import remove_label_schema
from ..labels.store import LabelStore
from ..reports.facts import Facts
from ..storage.connection import with_database_errors
from ..storage.indexes import drop_indexes
from ..storage.internals import delete_values, root_dataset, run_document
from ..storage.lease import delete_leases, lease
from ..storage.run_files import delete_unused
from ..storage.runs import restore
from ..storage.schema import check_writable
from ..storage.targets import TargetError, split_path
from .grid import show_images
from .ours import Ours, find_ours, store_of

USER_LABELS, TO_KEEP = "User labels in them", "To keep these"
"""The facts that the App shows in its own words."""

_HOW_TO_KEEP = (
    "write them into a file first: 'ccip decisions export FILE --dataset NAME', or export_decisions in Python"
)


@dataclass(frozen=True)
class Removal:
    """Result of removing everything of this plugin, or of its dry run.

    Attributes:
        dataset: the name of the dataset
        ours: what is removed
        n_user_labels: number of labels that users gave or confirmed, in fields that are removed
        n_graphs: number of cached neighbor graphs of the embeddings that were deleted
        is_done: False for a dry run
    """

    dataset: str
    ours: Ours
    n_user_labels: int = 0
    n_graphs: int = 0
    is_done: bool = False

    def facts(self) -> Facts:
        """The report as text."""
        ours = self.ours
        n = sum(map(len, (ours.fields, ours.runs, ours.brain_runs, ours.views, ours.stores)))
        what = f"{n:,} fields, runs, indexes, views and stores" if ours else "nothing of CCIP is in this dataset"
        verb = "" if not ours else " removed" if self.is_done else " to be removed"
        kept = [(f"Kept: {path}", why) for path, why in (ours.kept or {}).items()]
        kept += [(f"Kept: {path}", "it is not the field that this plugin made there") for path in ours.replaced]
        warnings = (
            [f"these brain runs of others read a removed field and do not work any more: {', '.join(ours.dependent)}"]
            if ours.dependent
            else []
        )
        return Facts.of(
            f"{what}{verb}",
            [
                ("Fields", ", ".join(ours.fields) or None),
                (USER_LABELS, self.n_user_labels or None),
                (TO_KEEP, _HOW_TO_KEEP if self.n_user_labels and not self.is_done else None),
                *kept,
                ("Runs", ", ".join(ours.runs) or None),
                ("Similarity indexes and visualizations", ", ".join(ours.brain_runs) or None),
                ("Saved views", ", ".join(ours.views) or None),
                ("History", "all changes; nothing can be undone any more" if set(ours.stores) - {REPORTS} else None),
                ("Last reports", "all" if REPORTS in ours.stores else None),
                ("Locks", ours.n_leases or None),
                ("Cached neighbor graphs", self.n_graphs or None),
            ],
            warnings,
        )

    def __str__(self) -> str:
        return str(self.facts())


@with_database_errors
def remove_ccip(
    dataset: SampleCollection, *, dry_run: bool = False, progress: ProgressCallback | None = None
) -> Removal:
    """Removes everything that this plugin keeps with a dataset. It cannot be undone.

    These are: embeddings, character groups with what users decided about them, and the fields beside them; runs,
    similarity indexes and visualizations, saved views, the history, locks, neighbor graphs in the cache folder, and the
    thumbnails that the grid shows.
    What this plugin did not write stays: vectors that were adopted, and names in a field that had labels before the
    first run. Save what users decided first, with ``export_decisions`` for each field with groups. A removal that was
    interrupted is finished by calling it again.

    Args:
        dataset: the dataset, or any view of it
        dry_run (False): change nothing, only list what would be removed
        progress (None): called with the number of steps that are done

    Returns:
        a :class:`Removal`

    Raises:
        LeaseHeldError: another process is writing
        FieldReadOnlyError: a field is read-only
    """
    whole = _whole(dataset)
    ours = find_ours(whole)
    removal = Removal(whole.name, ours, _n_user_labels(whole, ours))
    if dry_run:
        return removal
    _check_writable(whole, ours)
    _release(whole, ours)
    with contextlib.ExitStack() as stack:
        for path in (*ours.groups, *ours.embeddings):
            stack.enter_context(lease(whole, path))
        steps = (_graphs, _views, _brain_runs, _fields, _runs, _stores)
        n_graphs = 0
        for number, step in enumerate(steps):
            report(progress, "removing", number, len(steps))
            n_graphs += step(whole, ours)
    delete_leases(whole)
    return replace(removal, n_graphs=n_graphs, is_done=True)


def _whole(samples: SampleCollection) -> fo.Dataset:
    if not isinstance(samples, fo.Dataset | fo.DatasetView):
        raise TargetError(f"a {type(samples).__name__} is neither a dataset nor a view")
    return root_dataset(samples)


def _n_user_labels(dataset: fo.Dataset, ours: Ours) -> int:
    stores = [store_of(dataset, path) for path in ours.groups if path not in (ours.kept or {})]
    return sum(store.count_user_labels() for store in stores if store.is_declared())


def _check_writable(dataset: fo.Dataset, ours: Ours) -> None:
    for path in (*ours.fields, *(ours.kept or {})):
        check_writable(dataset, path)


def _release(dataset: fo.Dataset, ours: Ours) -> None:
    """Removes what is ours in fields that stay: labels that runs wrote, and the recorded model of vectors."""
    for path in ours.kept or {}:
        if path in ours.groups:
            patches_field, group_field = split_path(path)
            delete_grouping(dataset, group_field=group_field, patches_field=patches_field)


def _graphs(dataset: fo.Dataset, ours: Ours) -> int:
    """Forgets vectors in memory, and the graphs of all embeddings of a field in the cache folder."""
    VECTORS.clear()
    n = 0
    for path in ours.embeddings if has_graphs(graphs_folder()) else ():
        patches_field, name = split_path(path)
        with contextlib.suppress(CCIPError):  # without usable embeddings there are no graphs
            embeddings = load_embeddings(dataset, embeddings_field=name, patches_field=patches_field)
            n += delete_graphs(graphs_folder(), unit_vectors(embeddings.vectors).digest)
    return n


def _views(dataset: fo.Dataset, ours: Ours) -> int:
    for name in ours.views:
        if name in dataset.list_saved_views():
            dataset.delete_saved_view(name)
    return 0


def _brain_runs(dataset: fo.Dataset, ours: Ours) -> int:
    for key in ours.brain_runs:
        delete_brain_run(dataset, key)
    return 0


def _fields(dataset: fo.Dataset, ours: Ours) -> int:
    for path in ours.groups:
        store = store_of(dataset, path)
        drop_indexes(dataset, store.indexed_paths)
        _remove_colors(dataset, store)
    show_images(dataset)
    if fields := [path for path in ours.fields if dataset.has_field(path)]:
        dataset.delete_sample_fields(fields)
    for path in ours.groups:
        remove_label_schema(store_of(dataset, path), gone=ours.fields)
    for path in ours.kept or {}:
        if read_provenance(dataset, path) is not None:
            forget_provenance(dataset, path)
    return 0


def _remove_colors(dataset: fo.Dataset, store: LabelStore) -> None:
    """Removes colors by group from the App's color scheme."""
    scheme = dataset.app_config.color_scheme
    if scheme is None or not scheme.fields:
        return
    field = store.target.patches_field or store.group_field
    attribute = store.attribute_path("label").rpartition(".")[2]
    ours = {"path": field, "colorByAttribute": attribute}
    rest = [each for each in scheme.fields if {key: each.get(key) for key in ours} != ours]
    if len(rest) < len(scheme.fields):
        scheme.fields = rest
        others = ("color_pool", "label_tags", "colorscales", "default_colorscale", "default_mask_targets_colors")
        is_empty = not rest and not any(getattr(scheme, name, None) for name in others)
        dataset.app_config.color_scheme = None if is_empty else scheme
        dataset.save()


def _runs(dataset: fo.Dataset, ours: Ours) -> int:
    for key in ours.runs:
        run = run_document(dataset, key, ["_id"])
        restore(dataset, key, None)
        if run is not None:
            delete_unused(run["_id"], ())
    return 0


def _stores(dataset: fo.Dataset, ours: Ours) -> int:
    for name in ours.stores:
        delete_values(dataset, name)
    return 0
