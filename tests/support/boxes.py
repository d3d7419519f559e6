"""Samples with detections and embeddings, and detectors that replace them."""

from dataclasses import replace

import fiftyone as fo
import numpy as np
from bson import ObjectId
from fiftyone import ViewField as F

from ccip_plugin.core.identity.groups import Draft
from ccip_plugin.core.identity.planning import Plan
from ccip_plugin.labels.changes import apply
from ccip_plugin.labels.identities import load_registry
from ccip_plugin.labels.store import LabelStore
from ccip_plugin.labels.tables import table_of
from ccip_plugin.storage.fields import EMBEDDINGS_FIELD
from ccip_plugin.storage.targets import resolve

from .groups import embed, vector

FIELD = "people"
LIST = f"{FIELD}_decisions"
BOXES = [[0.05 + 0.3 * n, 0.1, 0.2, 0.5] for n in range(3)]
"""Boxes that do not overlap."""


def detections(letters, boxes=BOXES, **values):
    """A detection for each letter, which is its ``truth``."""
    return fo.Detections(
        detections=[
            fo.Detection(label="person", bounding_box=list(box), truth=letter, **values)
            for letter, box in zip(letters, boxes, strict=False)
        ]
    )


def fill(data, *casts, boxes=BOXES, field=FIELD):
    """Adds a sample for each cast, with embeddings."""
    new = [
        fo.Sample(f"/場面/{field} {len(data)} {n}.png", **{field: detections(cast, boxes)})
        for n, cast in enumerate(casts)
    ]
    data.add_samples(new, dynamic=True)
    embed(data.select([sample.id for sample in new]), "".join(casts), field)


def detect(sample, letters, boxes=BOXES, field=FIELD):
    """A detector runs again on a sample: all its detections are replaced by new ones, with embeddings."""
    found = detections(letters, boxes)
    for number, each in enumerate(found.detections):
        each[EMBEDDINGS_FIELD] = vector(each.truth, 1000 + number)
    documents = sample._dataset._sample_collection
    documents.update_one({"_id": ObjectId(sample.id)}, {"$set": {field: found.to_dict()}})
    sample.reload()


def moved(box, by=0.01):
    """The box a little further to the right."""
    return [box[0] + by, *box[1:]]


def names(data, field=FIELD):
    """For each sample, what is in its detections: the name with ``!`` when confirmed, ``x`` when ignored."""
    data.reload()
    states = {"confirmed": "!", "ignored": "x"}
    attributes = [f"{field}.detections.character_{name}" for name in ("group", "status")]
    if not data.has_field(attributes[0]):
        return [[None] * len(each[field].detections) for each in data]
    return [
        [None if name is None else name + states.get(status, "") for name, status in zip(*columns, strict=True)]
        for columns in zip(*data.exists(field).values(attributes), strict=True)
    ]


def decide(data, place, *, field=FIELD, **values):
    """A user edits a detection, the number ``place`` of all: ``group="Rei"``, ``status="confirmed"``."""
    ids = data.values(f"{field}.detections.id", unwind=True)
    for name, value in values.items():
        data.set_label_values(f"{field}.detections.character_{name}", {ids[place]: value})


def chosen(data, *places, field=FIELD):
    """A view of some detections, by their numbers among all."""
    ids = np.array(data.values(f"{field}.detections.id", unwind=True))
    return data.filter_labels(field, F("_id").is_in([ObjectId(key) for key in ids[list(places)]]))


def lists(data, field=FIELD):
    """For each sample, its decisions: boxes rounded, without ids."""
    data.reload()
    name = f"{field}_decisions"
    if not data.has_field(name):
        return [[] for _ in data]
    return [
        [{key: value for key, value in each.items() if key not in ("detection", "group_field")} for each in found or []]
        for found in data.values(name)
    ]


def merge(data, name, into, field=FIELD):
    """Merges a group without members into another one, as its registry has them then."""
    _change_groups(data, field, lambda draft, ids: draft.merge(ids[name], ids[into]))


def rename(data, group_id, name, field=FIELD):
    """Gives a group another name, as its registry has it then, and its labels too."""

    def change(draft, ids):
        draft.groups[group_id] = replace(draft.groups[group_id], name=name, named_by="person")

    _change_groups(data, field, change)


def _change_groups(data, field, change):
    store = LabelStore(resolve(data, field), "character_group")
    draft = Draft(load_registry(data, store.path))
    change(draft, draft.registry.ids_by_name())
    rows = []
    for item_id, sample_id, label in zip(*store.read(), strict=True):
        if label is not None and label.group_id is not None:
            group_id = draft.root(label.group_id)
            name = draft.groups[group_id].name
            rows.append((item_id, sample_id, replace(label, label=name, assigned=name, group_id=group_id)))
    apply(store, Plan(table_of(rows), draft.changes()), action="rename", is_automatic=False)
