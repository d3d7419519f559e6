"""Samples that have as good as no room left in the database."""

import bson
import fiftyone as fo

from ccip_plugin.storage.updates import MAX_BYTES


def fill(dataset, sample, room):
    """Fills a sample up to some bytes below what the database allows."""
    if not dataset.has_sample_field("filling"):
        dataset.add_sample_field("filling", fo.StringField)
    documents = dataset._sample_collection
    documents.update_one({"_id": bson.ObjectId(sample.id)}, {"$set": {"filling": ""}})
    size = len(bson.encode(documents.find_one({"_id": bson.ObjectId(sample.id)})))
    documents.update_one({"_id": bson.ObjectId(sample.id)}, {"$set": {"filling": "x" * (MAX_BYTES - size - room)}})
