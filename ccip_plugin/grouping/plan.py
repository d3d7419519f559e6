"""Plans labels and groups from the clusters of a run."""

from ..core.clustering.methods import Clustering, get_method
from ..core.identity.assignment import Clustered
from ..core.identity.planning import Plan, plan
from ..core.identity.state import State
from ..storage.fields import ADD
from .participants import Participants

N_SHAPES = 2_000
"""The number of largest groups that a report, and so a run, describes, and of changes of groups that a run has: about
600 kB."""


def make_plan(state: State, participants: Participants, clustering: Clustering, *, mode: str, threshold: float) -> Plan:
    """Plans labels: user labels stay, clusters get ids and names.

    Args:
        state: labels and groups; may be newer than the participants
        participants: the items that were clustered
        clustering: their clusters
        mode: which labels may change
        threshold: the difference up to which two images are one character
    """
    provenance = participants.provenance
    items = Clustered(
        participants.ids,
        participants.vectors,
        participants.is_open,
        clustering.labels,
        clustering.rescued,
        participants.embedded,
        provenance.sha256[:12] if provenance.sha256 else provenance.model_name,
    )
    return plan(
        state,
        items,
        threshold=threshold,
        keeps_fixed=get_method(clustering.method).keeps_constraints,
        adds_only=mode == ADD,
        n_shapes=N_SHAPES,
    )
