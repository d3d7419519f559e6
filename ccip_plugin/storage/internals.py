"""The private parts of FiftyOne that this plugin uses. No other module uses any.

Each function says what it assumes, as seen in FiftyOne 1.22.1, and why no public function serves.
``tests/storage/test_internals.py`` checks each assumption against the installed FiftyOne.
"""

import copy
import datetime
import hashlib
import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import fiftyone as fo
import fiftyone.core.odm as foo
from bson import DBRef, ObjectId
from fiftyone.core.collections import SampleCollection
from fiftyone.core.stages import ViewStage
from mongoengine.errors import DoesNotExist, LookUpError
from pymongo.collection import Collection
from pymongo.database import Database

logger = logging.getLogger(__name__)

Document = dict[str, Any]


# -- the database


def database() -> Database[Document]:
    """The database of FiftyOne, connected.

    Assumes ``fiftyone.core.odm.get_db_conn``. No public function gives the database.
    """
    return foo.get_db_conn()


def sample_documents(dataset: fo.Dataset) -> Collection[Document]:
    """The MongoDB collection with the samples of a dataset.

    Assumes ``Dataset._sample_collection``. Needed for conditional updates, which ``set_values`` does not have.
    """
    return dataset._sample_collection


def aggregate(
    samples: SampleCollection, pipeline: Sequence[Document], *, batch_size: int | None = None
) -> Iterable[Document]:
    """Runs MongoDB stages over the samples of a dataset or view.

    Assumes ``_aggregate(post_pipeline=)``, which gives a cursor. Public aggregations give fixed results only, and the
    ``Mongo`` view stage has to give samples.

    Args:
        samples: the samples
        pipeline: the stages
        batch_size (None): documents to hold at a time, 16 MB of them by default
    """
    documents: Any = samples._aggregate(post_pipeline=list(pipeline))
    cursor: Iterable[Document] = documents if batch_size is None else documents.batch_size(batch_size)
    return cursor


def dataset_document(dataset: fo.Dataset, *names: str) -> Document | None:
    """Values of a dataset as they are stored now; None when the dataset is deleted.

    Assumes the collection ``datasets``. A ``fiftyone.Dataset`` has the values of when it was loaded.
    """
    document: Document | None = database().datasets.find_one({"_id": dataset_id(dataset)}, list(names))
    return document


# -- datasets and views


def dataset_id(dataset: fo.Dataset) -> ObjectId:
    """The id of a dataset, which stays the same when the dataset is renamed.

    Assumes ``Dataset._doc.id``. The public API has the name only.
    """
    return dataset._doc.id


def root_dataset(samples: SampleCollection) -> fo.Dataset:
    """The dataset that a view leads back to: for patches, the dataset with the images.

    Assumes ``_root_dataset``. The public ``dataset_name`` would need another load of the dataset.
    """
    return samples._root_dataset


def is_generated(samples: SampleCollection) -> bool:
    """Whether samples are copies that FiftyOne made for a view: patches, frames, clips.

    Assumes ``_is_generated``. Public view classes are known one by one; new ones would not be recognized.
    """
    return bool(samples._is_generated)


def is_dynamic_groups(samples: SampleCollection) -> bool:
    """Whether a view shows groups made by ``group_by``, of which only the first sample is visible.

    Assumes ``_is_dynamic_groups``. The media type ``group`` does not tell these from grouped datasets.
    """
    return bool(samples._is_dynamic_groups)


def stages(view: fo.DatasetView) -> list[ViewStage]:
    """The stages of a view.

    Assumes ``DatasetView._stages``. The public API shows stages as text only.
    """
    return list(view._stages)


def filter_stages(view: fo.DatasetView, is_kept: Callable[[ViewStage], bool]) -> fo.DatasetView:
    """The view without some of its stages, in the same slice of a grouped dataset.

    Assumes ``DatasetView._base_view``, the view before its first stage.
    """
    filtered = view._base_view
    for stage in filter(is_kept, stages(view)):
        filtered = filtered.add_stage(stage)
    return filtered


def view_key(samples: SampleCollection) -> str:
    """A short text that is the same for views of the same stages, and differs between others.

    Assumes ``DatasetView._serialize(include_uuids=False)``. The text of the public ``summary`` is abridged.
    """
    serialized = samples.view()._serialize(include_uuids=False)
    return hashlib.sha256(repr(serialized).encode()).hexdigest()


def reload_schema(dataset: fo.Dataset) -> None:
    """Reloads the declared fields of a dataset; sample objects in memory keep unsaved values.

    Assumes ``Dataset._reload(hard=True)``. The public ``reload`` reloads all samples in memory as well.
    """
    dataset._reload(hard=True)


# -- execution stores


def store_values(dataset: fo.Dataset, store_name: str, prefix: str, *, limit: int = 0) -> dict[str, Any]:
    """The values of an execution store whose keys begin with a text, by key in order, in one query; or the first ones.

    Assumes the collection ``execution_store`` with ``store_name``, ``dataset_id``, ``key`` and ``value``. The public
    ``ExecutionStore`` reads them one by one.
    """
    documents = database().execution_store.find(_of_store(dataset, store_name, prefix), ["key", "value"])
    return {document["key"]: document["value"] for document in documents.sort("key", 1).limit(limit)}


def delete_values(dataset: fo.Dataset, store_name: str, prefix: str = "") -> None:
    """Deletes such values, all by default. Assumes what :func:`store_values` does."""
    database().execution_store.delete_many(_of_store(dataset, store_name, prefix))


def aggregate_values(
    dataset: fo.Dataset, store_name: str, prefix: str, accumulators: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Accumulates over such values in the order of their keys, as ``$group`` of MongoDB does; empty without any.

    Assumes what :func:`store_values` does.
    """
    group = {"$group": {"_id": None, **accumulators}}
    stages = [{"$match": _of_store(dataset, store_name, prefix)}, {"$sort": {"key": 1}}, group]
    return next(iter(database().execution_store.aggregate(stages)), {})


def _of_store(dataset: fo.Dataset, store_name: str, prefix: str) -> dict[str, Any]:
    is_of = {"store_name": store_name, "dataset_id": dataset_id(dataset)}
    return {**is_of, "key": {"$regex": f"^{re.escape(prefix)}"}}


def stores_of(dataset: fo.Dataset, prefix: str) -> tuple[str, ...]:
    """The names of the execution stores of a dataset that begin with a text. Assumes what :func:`store_values` does."""
    query = {"dataset_id": dataset_id(dataset), "store_name": {"$regex": f"^{re.escape(prefix)}"}}
    return tuple(sorted(database().execution_store.distinct("store_name", query)))


# -- samples in memory


def samples_in_memory(dataset: fo.Dataset) -> Mapping[str, fo.Sample]:
    """The sample objects of a dataset that this process holds, by id. FiftyOne gives the same object for one id.

    The mapping is FiftyOne's own: it changes as objects are made and freed, so copy it before iterating.

    Assumes ``Sample._instances``, by the name of the MongoDB collection. No public function lists them.
    """
    instances: Mapping[str, fo.Sample] = fo.Sample._instances.get(dataset._sample_collection_name, {})
    return instances


def reload_fields(sample: fo.Sample, names: Iterable[str]) -> None:
    """Reloads some fields of a sample object; unsaved values of its other fields stay.

    Assumes ``Sample._doc.reload(*names)``, which raises where the sample was deleted, or where the object was made
    before the field was declared; such objects stay as they are. The public ``reload`` discards all unsaved values.
    """
    try:
        sample._doc.reload(*names)
    except DoesNotExist:
        logger.debug("sample %s was deleted", sample.id)
    except LookUpError:
        logger.debug("sample %s was loaded before the fields %s were declared", sample.id, names)


def has_unsaved(sample: fo.Sample, field: str) -> bool:
    """Whether a field of a sample object, or something in it, was changed and not saved.

    Assumes ``Sample._doc._get_changed_fields``, with paths such as ``faces.detections.0.label``. No public function
    tells what is unsaved.
    """
    return any(f"{path}.".startswith(f"{field}.") for path in sample._doc._get_changed_fields())


def reload_attributes(sample: fo.Sample, field: str, names: Sequence[str]) -> None:
    """Reloads some attributes of the detections of a sample object; unsaved values, other attributes and boxes stay.

    Assumes ``_changed_fields`` and ``_data`` of a detection, and what ``Sample._doc.reload`` does, which takes all.
    """
    stored = sample._doc._qs.filter(**sample._doc._object_key).only(field).first()
    fresh = {detection.id: detection for detection in _detections(stored, field)}
    for detection in _detections(sample._doc, field):
        if detection.id in fresh:
            _copy_attributes(fresh[detection.id], detection, names)


def _detections(document: Any, field: str) -> list[fo.Detection]:
    label = document[field] if document is not None and field in document._data else None
    return [] if label is None else list(label.detections or ())


def _copy_attributes(stored: fo.Detection, detection: fo.Detection, names: Sequence[str]) -> None:
    """Takes values over as if they had been loaded, except where there is an unsaved one."""
    unsaved = list(detection._changed_fields)
    for name in set(names) - set(unsaved):
        if name in stored._data:
            detection[name] = stored[name]
        elif name in detection._data:
            detection.clear_field(name)
    detection._changed_fields = unsaved


# -- runs


def run_document(dataset: fo.Dataset, key: str, names: Iterable[str]) -> Document | None:
    """Values of a custom run as they are stored now; None when there is no such run.

    Assumes the collection ``runs`` with ``_dataset_id``, ``key`` and ``config``. The public ``get_run_info`` gives the
    configuration of when the dataset was loaded.
    """
    document: Document | None = database().runs.find_one(_run_query(dataset, key), list(names))
    return document


def run_documents(dataset: fo.Dataset, method: str, names: Iterable[str]) -> list[Document]:
    """Values of all custom runs of one kind, as stored now; the public ``list_runs`` gives those of when it was loaded.

    Assumes what :func:`run_document` does, and that ``config`` has the ``method``.
    """
    query = {"_dataset_id": dataset_id(dataset), "config.method": method}
    return list(database().runs.find(query, list(names)).sort("key", 1))


def update_run_document(
    dataset: fo.Dataset, key: str, expected: Mapping[str, object], change: Mapping[str, object]
) -> bool:
    """Changes a custom run in one step, where its stored values are as expected; returns whether they were.

    Assumes what :func:`run_document` does. Public functions write without such a condition.

    Args:
        dataset: the dataset
        key: the key of the run
        expected: stored values by path, e.g. ``{"config.revision": 3}``
        change: MongoDB update operators
    """
    result = database().runs.update_one({**_run_query(dataset, key), **expected}, change)
    return bool(result.matched_count)


def _run_query(dataset: fo.Dataset, key: str) -> Document:
    return {"_dataset_id": dataset_id(dataset), "key": key}


def refresh_run(dataset: fo.Dataset, key: str) -> None:
    """Reloads a custom run that another process may have registered, changed or deleted.

    Assumes ``Dataset._doc.runs``, a dict of references, and the cache of results ``Dataset._run_cache``. The public
    ``reload`` reloads all samples in memory as well.
    """
    references = dataset._doc.runs or {}
    reference = references.get(key)
    stored = run_document(dataset, key, ["_id"])
    if reference is not None and stored is not None and str(reference.id) == str(stored["_id"]):
        reference.reload()
    elif reference is not None or stored is not None:
        dataset._doc.reload("runs")
    dataset._run_cache.pop(key, None)


def forget_runs(dataset: fo.Dataset) -> None:
    """Makes FiftyOne read the custom runs of a dataset again, at their next use: large ones take memory only then.

    Assumes ``Dataset._doc._data["runs"]``, which holds references when a dataset is loaded and documents after a first
    use, and the cache of results ``Dataset._run_cache``. The public ``reload`` reloads all samples in memory as well.
    """
    document = dataset_document(dataset, "runs") or {}
    references = {key: DBRef("runs", run_id) for key, run_id in (document.get("runs") or {}).items()}
    dataset._doc._data["runs"] = references
    dataset._run_cache.clear()


def overwrite_run(dataset: fo.Dataset, key: str, config: Any) -> None:
    """Changes the configuration of a custom run in one step and deletes its results.

    Assumes ``Dataset._doc.runs[key]``, a document with ``config``, ``version``, ``timestamp``, ``results`` and
    ``results_meta``. The public ``register_run(overwrite=True)`` deletes the run first: for a moment, other processes
    find no run, or a reference to none.

    Args:
        dataset: the dataset
        key: the key of an existing run
        config: a ``fiftyone.core.runs.RunConfig``
    """
    run = dataset._doc.runs[key]
    results, run.results, run.results_meta = run.results, None, {}
    run.config, run.version = copy.deepcopy(config.serialize()), fo.__version__
    run.timestamp = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
    run.save()
    if results:
        results.delete()


def delete_run(dataset: fo.Dataset, key: str) -> None:
    """Deletes a custom run: first the reference of the dataset, then the document.

    Assumes what :func:`overwrite_run` does. The public ``delete_run`` deletes in the opposite order: for a moment,
    other processes find a reference to no run.
    """
    run = dataset._doc.runs[key]
    del dataset._doc.runs[key]
    dataset.save()
    run.delete()  # and the file with its results


def reload_brain_runs(dataset: fo.Dataset) -> None:
    """Reloads which brain runs a dataset has.

    Assumes ``Dataset._doc.brain_methods``. The public ``reload`` reloads all samples in memory as well.
    """
    dataset._doc.reload("brain_methods")


def has_brain_results(dataset: fo.Dataset, key: str) -> bool:
    """Whether results are stored for a brain run.

    Assumes ``Dataset._doc.brain_methods[key].results``. The public ``load_brain_results`` would load all of them.
    """
    return bool(dataset._doc.brain_methods[key].results)


def forget_zoo_manifests() -> None:
    """Makes FiftyOne read the manifests of the model zoo again, after files in its folder have changed.

    Assumes ``fiftyone.zoo.models._invalidate_zoo_models_manifest``; versions without it keep no manifests.
    """
    import fiftyone.zoo.models as fozm  # it takes longer to import than the rest of this module

    invalidate = getattr(fozm, "_invalidate_zoo_models_manifest", None)
    if invalidate is not None:
        invalidate()


def forget_brain_results(dataset: fo.Dataset, key: str) -> None:
    """Drops results of a brain run from memory, so that the next ``load_brain_results`` reads them again.

    Assumes ``Dataset._brain_cache``. The public ``clear_cache`` drops the samples in memory as well.
    """
    dataset._brain_cache.pop(key, None)


# -- operators


def is_run_by_worker(ctx: Any) -> bool:
    """Whether a worker runs an operation that was scheduled before.

    Assumes ``ExecutionContext._delegated_operation_id``. The public ``delegated`` is whatever a request says.
    """
    return getattr(ctx, "_delegated_operation_id", None) is not None
