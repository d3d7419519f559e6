"""A copy of old data, opened by a process of its own: FiftyOne serves one database in a process, and for all of it."""

import concurrent.futures
import multiprocessing
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from local_services import isolated_environment

from .archive import connect, restore

ROOT = Path(__file__).resolve().parents[2]
LONGEST_SECONDS = 120


class Opened:
    """A restored copy, and the process that works on it; a context manager.

    Calling it runs a function of this module there, and gives what that returns.

    Args:
        archive: the copy
        folder: for its files
        uri: the server for its database
        name: of the database
    """

    def __init__(self, archive: Path, folder: Path, uri: str, name: str) -> None:
        self.folder, self.database = folder, connect(uri, name)
        restore(archive, self.database, folder, {"FOLDER": folder, "CHECKOUT": ROOT})
        env = isolated_environment(os.environ, folder, uri=uri, database=name)
        env["CCIP_MODEL_DIR"] = str(folder / "models")
        context = multiprocessing.get_context("spawn")
        self._process = concurrent.futures.ProcessPoolExecutor(1, context, _begin, (env,))

    def __enter__(self) -> "Opened":
        return self

    def __exit__(self, *error: object) -> None:
        self._process.shutdown(cancel_futures=True)
        self.database.client.drop_database(self.database.name)
        self.database.client.close()

    def __call__(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        return self._process.submit(function, *arguments, **options).result(LONGEST_SECONDS)


def _begin(env: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(env)


# -- what runs in that process


def names() -> list[str]:
    """The datasets."""
    import fiftyone as fo

    return fo.list_datasets()


def load(name: str, keys: Iterable[str] | None = None) -> Any:
    """A dataset as the database has it now, or the samples in it that have these keys."""
    import fiftyone as fo

    dataset = fo.load_dataset(name)
    dataset.reload()
    return dataset if keys is None else dataset.match({"key": {"$in": list(keys)}})


def contents(name: str) -> dict[str, Any]:
    """How many samples a dataset has, its runs with their kinds, its brain runs and views with their sizes."""
    dataset = load(name)
    runs = {key: dataset.get_run_info(key).config.method for key in dataset.list_runs()}
    for key in runs:
        dataset.load_run_results(key)
    indexes = {key: dataset.load_brain_results(key) for key in dataset.list_brain_runs()}
    return {
        "samples": len(dataset),
        "runs": runs,
        "brain": {key: getattr(found, "total_index_size", None) for key, found in indexes.items()},
        "views": {key: len(dataset.load_saved_view(key)) for key in dataset.list_saved_views()},
        "edited in": sorted(dataset.active_label_schemas or ()),
    }


def labels(name: str, field: str = "character_group", patches_field: str | None = None) -> dict[str, tuple[Any, Any]]:
    """Names and states of the groups, by the key of the item."""
    dataset, prefix = load(name), field.removesuffix("_group")
    if patches_field is None:
        rows = zip(*dataset.values(["key", f"{field}.label", f"{field}.status"]), strict=True)
        return {key: (label, status) for key, label, status in rows}
    paths = (f"{patches_field}.detections.{path}" for path in ("key", field, f"{prefix}_status"))
    rows = zip(*(dataset.values(path, unwind=True) for path in paths), strict=True)
    return {key: (label, status) for key, label, status in rows if key is not None}


def group_ids(name: str, field: str = "character_group") -> dict[str, int | None]:
    """The ids of the groups, by the key of the sample."""
    return dict(zip(*load(name).values(["key", f"{field}.group_id"]), strict=True))


def everything(name: str, field: str) -> list[Any]:
    """All that is stored in a field, sample by sample."""
    return [value and value.to_dict() for value in load(name).values(field)]


def values(name: str, path: str) -> list[Any]:
    """The values of a field."""
    return load(name).values(path)


def run_parameters(name: str, run_key: str) -> tuple[str, float] | None:
    """Method and eps of a recorded grouping; None without a record."""
    dataset = load(name)
    if run_key not in dataset.list_runs():
        return None
    found = dataset.get_run_info(run_key).config.parameters
    return found["method"], found["eps"]


def call(function: str, name: str, *arguments: Any, keys: Iterable[str] | None = None, **options: Any) -> Any:
    """Calls a function of the package on a dataset; gives its report as plain values."""
    import ccip_plugin

    return _plain(getattr(ccip_plugin, function)(load(name, keys), *arguments, **options))


def is_refused(function: str, name: str, *arguments: Any, **options: Any) -> bool:
    """Whether a function of the package raises an error of its own kind; another one is raised here, too."""
    from ccip_plugin.core.errors import CCIPError

    try:
        call(function, name, *arguments, **options)
    except CCIPError:
        return True
    return False


def edit(name: str, key: str, label: str, field: str = "character_group") -> None:
    """Another name for the group of a sample, as the App's editor writes it."""
    sample = load(name, [key]).first()
    sample[field].label = label
    sample.save()


def forms(name: str) -> dict[str, int]:
    """How many inputs and notices the form of each operator has on a dataset; what only a panel calls has none."""
    import fiftyone.operators as foo
    from fiftyone.operators.executor import ExecutionContext, Executor

    found = {}
    for operator in foo.list_operators(builtin=False):
        if operator.config.unlisted:
            continue
        ctx = ExecutionContext({"dataset_name": name, "view": [], "params": {}}, executor=Executor())
        form = operator.resolve_type(ctx, "inputs")
        found[operator.uri] = len(form.to_json()["type"]["properties"]) if form is not None else 0
    return found


def operate(operator: str, name: str, **params: Any) -> None:
    """Runs an operator by its URI, as the App does; an error of it is raised."""
    import fiftyone.operators as foo
    from fiftyone.operators.executor import ExecutionContext, Executor

    ctx = ExecutionContext({"dataset_name": name, "view": [], "params": params}, executor=Executor())
    for _ in foo.get_operator(f"@ccip/characters/{operator}").execute(ctx):
        pass


def work_through_the_queue() -> dict[str, tuple[str, str | None]]:
    """Runs the operations that wait, as a worker does; gives how each ended, and its error."""
    from fiftyone.operators.delegated import DelegatedOperationService

    service = DelegatedOperationService()
    service.execute_queued_operations()
    return {each.operator: (each.run_state, each.result and each.result.error) for each in service.list_operations()}


def nearest(name: str, key: str, patches_field: str | None = None, brain_key: str = "ccip_similarity") -> list[str]:
    """The keys of the items that an index finds to be most like one, that one first."""
    dataset = load(name)
    if patches_field is None:
        return dataset.sort_by_similarity(load(name, [key]).first().id, brain_key=brain_key, k=3).values("key")
    patches = dataset.to_patches(patches_field)
    query = patches.match({f"{patches_field}.key": key}).first().id
    return patches.sort_by_similarity(query, brain_key=brain_key, k=3).values(f"{patches_field}.key")


def answers(name: str) -> list[tuple[str, str, bool | None]]:
    """The answers about pairs, with the keys of the images."""
    import ccip_plugin

    dataset = load(name)
    key_of = dict(zip(*dataset.values(["id", "key"]), strict=True))
    return [(key_of[each.first], key_of[each.second], each.is_same) for each in ccip_plugin.load_answers(dataset)]


def fitted_threshold(name: str) -> float:
    """The threshold that follows from the answers."""
    import ccip_plugin

    return ccip_plugin.Questions(load(name)).fit().threshold


def proposal(name: str, field: str) -> tuple[dict[str, int], list[str]]:
    """The counts of a proposal, and the keys of those that go along with a merged group."""
    import ccip_plugin

    found = ccip_plugin.load_proposal(load(name), group_field=field)
    return dict(found.counts), found.view("merged").values("key")


def exploration(name: str, max_eps: float) -> list[tuple[float, int]]:
    """How many groups there are for some values of eps."""
    import ccip_plugin

    found = ccip_plugin.explore_parameters(load(name), max_eps=max_eps)
    return [(eps, found.row(eps)["n_groups"]) for eps in (0.1, 0.2, 0.3)]


def zoo_model(model_name: str, name: str, key: str) -> tuple[str, float]:
    """Loads a model from FiftyOne's zoo; gives where its code is, and how far its vector is from the stored one."""
    import fiftyone.zoo as foz
    import numpy as np
    from PIL import Image

    model = foz.load_zoo_model(model_name, cache=False)
    sample = load(name, [key]).first()
    with Image.open(sample.filepath) as image:
        vector = model.embed(np.asarray(image.convert("RGB")))
    unit = np.ravel(vector) / np.linalg.norm(vector)
    return type(model).__module__.partition(".")[0], float(np.abs(unit - sample.ccip_embedding).max())


def registration(is_wanted: bool) -> dict[str, Any] | None:
    """Registers the models with FiftyOne's zoo, or takes them out."""
    import ccip_plugin

    return _plain(ccip_plugin.register_model() if is_wanted else ccip_plugin.unregister_model())


def repair_box(name: str, patches_field: str, key: str) -> None:
    """Gives a box without area one."""
    for sample in load(name):
        for box in sample[patches_field].detections:
            if box.key == key:
                box.bounding_box = [2 / 3, 0, 1 / 3, 1]
                sample.save()


def _plain(report: Any) -> Any:
    """The attributes of a report that other processes can read."""
    if report is None or isinstance(report, str | int | float | bool):
        return report
    if isinstance(report, tuple) and not hasattr(report, "_asdict"):
        return tuple(map(_plain, report))
    attributes = report._asdict() if hasattr(report, "_asdict") else vars(report)
    simple = {name: value for name, value in attributes.items() if _is_plain(value)}
    return {**simple, "text": str(report)}


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_is_plain, (*value, *value.values())))
    return value is None or isinstance(value, str | int | float | bool)
