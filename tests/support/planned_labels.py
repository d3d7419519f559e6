"""Changes of labels as a plan would have them, made by hand."""

from dataclasses import dataclass, field
from typing import Any

from ccip_plugin.core.identity.groups import Draft
from ccip_plugin.core.identity.planning import Plan
from ccip_plugin.labels import changes
from ccip_plugin.labels.identities import load_registry
from ccip_plugin.labels.tables import GroupLabel, table_of


@dataclass
class Planned:
    """Labels to write, as ``(id, id of the sample, label)``, and a draft of the groups."""

    labels: list[tuple[str, str, GroupLabel | None]]
    draft: Draft
    options: dict[str, Any] = field(default_factory=dict)

    def replace(self, index: int, label: GroupLabel | None) -> None:
        """Plans another label for an item."""
        self.labels[index] = (*self.labels[index][:2], label)

    def plan(self) -> Plan:
        """The plan."""
        return Plan(table_of(self.labels), self.draft.changes())


def plan_names(store, names, **options):
    """Gives the items the groups that ``names`` says; None for unassigned."""
    ids, sample_ids, _ = store.read()
    draft = Draft(load_registry(store.target.dataset, store.path))
    labels = []
    for item_id, sample_id, name in zip(ids, sample_ids, names, strict=True):
        label = name or "unassigned"
        labels.append((item_id, sample_id, GroupLabel(label, draft.id_of(name), "auto", 0.5, 0.1, 0.2, label)))
    return Planned(labels, draft, options)


def apply(store, planned, *, action="group_characters"):
    """Writes what is planned."""
    return changes.apply(store, planned.plan(), action=action, **planned.options)
