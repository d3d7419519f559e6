"""Datasets with embeddings by letters, and the groups that their labels make."""

import fiftyone as fo
import numpy as np

from ccip_plugin.core.registry import DEFAULT_MODEL
from ccip_plugin.storage.fields import EMBEDDINGS_FIELD

DIM = 768


def vector(letter, n, spread=0.1):
    """An embedding of the character ``letter``: capitals are near their small letter but not the same character."""
    rng = np.random.default_rng([ord(letter), n])
    base = np.random.default_rng(ord(letter.lower())).standard_normal(DIM)
    if letter.isupper():
        base += 1.3 * np.random.default_rng(ord(letter)).standard_normal(DIM)
    made = base / np.linalg.norm(base) + spread * rng.standard_normal(DIM) / np.sqrt(DIM)
    return (made / np.linalg.norm(made)).astype(np.float32)


def embed(samples, letters, patches_field=None):
    """Stores an embedding per letter, none for a blank, as the extraction would."""
    from ccip_plugin.core.preprocessing import READING_POLICY
    from ccip_plugin.embeddings.provenance import Provenance, write_provenance

    dataset = samples._root_dataset if isinstance(samples, fo.DatasetView) else samples
    path = f"{patches_field}.detections.{EMBEDDINGS_FIELD}" if patches_field else EMBEDDINGS_FIELD
    if dataset.get_field(path) is None:
        dataset.add_sample_field(path, fo.VectorField)
        boxes = {"alpha": 0.0, "force_square": False} if patches_field else {}
        write_provenance(dataset, path, Provenance(DEFAULT_MODEL, READING_POLICY, **boxes))
    vectors = [None if letter == " " else vector(letter, n) for n, letter in enumerate(letters)]
    if patches_field:
        ids = samples.values(f"{patches_field}.detections.id", unwind=True)
        samples.set_label_values(f"{patches_field}.detections.{EMBEDDINGS_FIELD}", dict(zip(ids, vectors, strict=True)))
    else:
        samples.set_values(EMBEDDINGS_FIELD, vectors)


def labels(samples):
    if not samples.has_field("character_group"):
        return [None] * len(samples)
    return samples.values("character_group.label")


def partition(samples):
    """The groups as numbers in the order in which they appear, -1 for unassigned, None for no label."""
    seen = {}
    return [
        None if label is None else -1 if label == "unassigned" else seen.setdefault(label, len(seen))
        for label in labels(samples)
    ]
