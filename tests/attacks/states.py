"""The state of a grouped dataset as the database has it, read without the code that is attacked."""

import hashlib
import unicodedata
from dataclasses import dataclass, field
from typing import Any

from ccip_plugin.labels.identities import load_registry

Raw = dict[str, Any]

ABSENT = "absent"
"""In the place of a value whose key is not there; None is null."""

FIELD, UNASSIGNED = "character_group", "unassigned"
PEOPLE = "people"
ROLLUP = f"{PEOPLE}_characters"
NAMES = ("label", "group_id", "status", "confidence", "difference", "margin", "assigned", "rescued")
ATTRIBUTES = {
    name: f"character_{name}" for name in ("status", "confidence", "difference", "margin", "assigned", "rescued")
} | {"label": FIELD, "group_id": f"{FIELD}_id"}
_OF_TIME = ("last_modified_at",)
_DERIVED = ("people_decisions",)


@dataclass
class State:
    """What a dataset holds at one moment.

    Attributes:
        labels: by the id of the item, the stored label: None for null, :data:`ABSENT` for no key
        samples: by the id of the item, the id of its sample
        rest: by the id of the sample, everything else that is stored in it
        rollups: by the id of the sample, the names of the groups of its detections
        groups: by id, the name of each group, who named it, and what it was merged into
        rejections: by the id of the group, the ids of the items
        next_id: the id of the next group
    """

    labels: dict[str, Any] = field(default_factory=dict)
    samples: dict[str, str] = field(default_factory=dict)
    rest: dict[str, Raw] = field(default_factory=dict)
    rollups: dict[str, Any] = field(default_factory=dict)
    groups: dict[int, tuple[str, str | None, int | None]] = field(default_factory=dict)
    rejections: dict[int, set[str]] = field(default_factory=dict)
    next_id: int = 1

    def root(self, group_id: int) -> int:
        """The group that a group was merged into, itself if none."""
        while group_id in self.groups and self.groups[group_id][2] is not None:
            group_id = self.groups[group_id][2]
        return group_id


def path_of(is_patches: bool) -> str:
    """The full path of the groups."""
    return f"{PEOPLE}.detections.{FIELD}" if is_patches else FIELD


def read_state(dataset, is_patches: bool) -> State:
    """Reads the state of a dataset."""
    state = State()
    for document in dataset._sample_collection.find().sort("_id"):
        sample_id = str(document.pop("_id"))
        for name in (*_OF_TIME, *_DERIVED):
            document.pop(name, None)
        if is_patches:
            state.rollups[sample_id] = document.pop(ROLLUP, ABSENT)
            for detection in (document.get(PEOPLE) or {}).get("detections") or []:
                label = {name: detection.pop(key) for name, key in ATTRIBUTES.items() if key in detection}
                state.labels[str(detection["_id"])] = label
                state.samples[str(detection["_id"])] = sample_id
        else:
            state.labels[sample_id] = document.pop(FIELD, ABSENT)
            state.samples[sample_id] = sample_id
        state.rest[sample_id] = document
    registry = load_registry(dataset, path_of(is_patches))
    state.groups = {key: (group.name, group.named_by, group.merged_into) for key, group in registry.groups.items()}
    state.rejections = {key: set(ids) for key, ids in registry.rejections.items() if ids}
    state.next_id = registry.next_id
    return state


def text_of(label: Any) -> str | None:
    """The text of a stored label, None without one, as when it was deleted; of a status alone in no group."""
    if not isinstance(label, dict):
        return None
    if label.get("label") is None and label.get("status") not in (None, "auto"):
        is_deleted = label.get("assigned") is not None and label["status"] != "ignored"
        return None if is_deleted else UNASSIGNED
    return label.get("label")


def is_human(label: Any) -> bool:
    """Whether a label is a person's: its status is any but auto, or it is not what was assigned."""
    if text_of(label) is None:
        return False
    return label.get("status") not in (None, "auto") or text_of(label) != label.get("assigned")


def is_settled(label: Any) -> bool:
    """Whether a person's label is stored as such."""
    return (
        is_human(label) and label.get("status") in ("confirmed", "ignored") and text_of(label) == label.get("assigned")
    )


def canonical(name: str) -> str:
    """A name as names are compared."""
    return unicodedata.normalize("NFC", name.strip())


def group_name(label: Any) -> str | None:
    """The name of the group that a label names, None for none."""
    text = text_of(label)
    if text is None or label.get("status") == "ignored":
        return None
    name = canonical(text)
    return None if name in ("", UNASSIGNED) or len(name) > 200 else name


def without_nulls(label: Any) -> Any:
    """A label as FiftyOne reads it, for which null and no key are one."""
    if not isinstance(label, dict):
        return {}
    return {key: value for key, value in label.items() if value is not None}


def derived_rollup(state: State, sample_id: str) -> Any:
    """The names of the groups of the detections of a sample; :data:`ABSENT` if none has a label."""
    labels = [state.labels[item] for item, sample in state.samples.items() if sample == sample_id]
    if all(text_of(label) is None for label in labels):
        return ABSENT
    return sorted({text_of(label).strip() for label in labels if group_name(label) is not None})


def portable(state: State) -> Raw:
    """A state that can be compared with that of another dataset: items by their place, without ids of labels."""
    places = {item: place for place, item in enumerate(state.labels)}
    labels = [
        {key: value for key, value in label.items() if key != "_id"} if isinstance(label, dict) else label
        for label in state.labels.values()
    ]
    rejections = {
        str(key): sorted(places.get(item, -1) for item in items) for key, items in sorted(state.rejections.items())
    }
    vectors = [_vectors_of(document) for document in state.rest.values()]
    return {
        "labels": labels,
        "rollups": list(state.rollups.values()),
        "groups": {str(key): list(group) for key, group in sorted(state.groups.items())},
        "rejections": rejections,
        "vectors": vectors,
    }


def _vectors_of(document: Raw) -> list[str | None]:
    """A digest of each embedding in a sample."""
    places = [document, *((document.get(PEOPLE) or {}).get("detections") or [])]
    stored = (place.get("ccip_embedding") for place in places)
    return [None if vector is None else hashlib.sha256(bytes(vector)).hexdigest() for vector in stored]
