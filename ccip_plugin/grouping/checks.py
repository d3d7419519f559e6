"""What can be said about the options of a run before anything is read."""

from ..core.clustering.methods import DEFAULT_METHOD, get_method
from ..core.neighbors.choice import choose_graph
from ..labels.store import LabelStore
from .constraints import check_tracks
from .options import GroupingOptions
from .parameters import calibrated_values


def check_options(store: LabelStore, options: GroupingOptions) -> None:
    """Checks the options of a run against a dataset, as the run itself does.

    Args:
        store: the items, and the field for their groups
        options: the options

    Raises:
        NotCalibratedError: calibrated parameters were asked for, and there are none
        MissingExtraError: an approximate graph was asked for, and faiss is not installed
        CCIPError: the field for the groups, the tracks or the graph cannot be used
    """
    store.check()
    check_tracks(store.target, options.tracks)
    method = get_method(options.method or DEFAULT_METHOD)
    choose_graph(options.graph, 0, needs_all_neighbors=method.needs_all_neighbors)
    calibrated_values(options, store.target)
