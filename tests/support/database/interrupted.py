"""Calls every public function that uses the database, which goes, or whose dataset is deleted, in the middle.

Run as a process: FiftyOne connects once, here through a relay. Prints a JSON line for each error of another library.
"""

import inspect
import json
import os
import sys
import tarfile
import traceback
import urllib.parse

import pymongo

from tests.support.database.relay import Relay

AFTER = {"gone": (6, 0), "deleted": (0, 2, 18)}  # commands to the database before it happens
LETTERS = "aabbbc"
WITHOUT_DATABASE = {
    "Questions",
    "find_images",
    "load_library",
    "manage_models",
    "merge_libraries",
    "register_model",
    "unregister_model",
}


def connect():
    """Has FiftyOne of this process connect through a relay; gives it and a client of the server itself."""
    uri = os.environ["FIFTYONE_DATABASE_URI"]
    relay = Relay(urllib.parse.urlsplit(uri).port)
    os.environ["FIFTYONE_DATABASE_URI"] = f"mongodb://127.0.0.1:{relay.port}/?serverSelectionTimeoutMS=100"
    return relay, pymongo.MongoClient(uri)[os.environ["FIFTYONE_DATABASE_NAME"]]


def calls(images, group):
    """How each public function is called, by its name."""
    import ccip_plugin as ccip
    from ccip_plugin.core.references import References
    from tests.support.groups import vector

    references = References.of({"Rei": vector("a", 99)})
    options = {
        "compare_runs": {"first": "ccip_groups", "second": "ccip_groups"},
        "compute_embeddings": {"overwrite": True},
        "drop_change": {"number": 1},
        "find_similar": {"group": group},
        "name_characters": {"references": references, "above": 0},
        "load_evaluation": {"run_key": "ccip_evaluation_character_group"},
        "evaluate_groups": {"group_field": "character_group", "ground_truth_field": "who"},
        "evaluate_model": {"ground_truth_field": "who"},
        "calibrate": {"ground_truth_field": "who"},
        "save_answers": {"answers": []},
        "show_group": {"group": 1},
        "export_decisions": {"path": images[0].parent / "decisions.json"},
        "import_decisions": {"path": images[0].parent / "decisions.json"},
        "save_library": {"path": images[0].parent / "library", "overwrite": True},
    }
    functions = {name: getattr(ccip, name) for name in ccip.__all__ if name not in {"__version__", *WITHOUT_DATABASE}}
    takes = {name: next(iter(inspect.signature(each).parameters)) for name, each in functions.items()}
    made = {
        name: lambda data, each=each, name=name: each(data, **options.get(name, {}))
        for name, each in functions.items()
        if takes[name] in ("samples", "dataset")
    }
    archive = archive_of(images)
    return made | {
        "reject": lambda data: ccip.reject(data[:1]),
        "confirm": lambda data: ccip.confirm(data[:1]),
        "ignore": lambda data: ccip.ignore(data[:1]),
        "move": lambda data: ccip.move(data[:1], "Rei"),
        "rename_group": lambda data: ccip.rename_group(data, 1, "Rei"),
        "merge_groups": lambda data: ccip.merge_groups(data, [1, 2]),
        "split_group": lambda data: ccip.split_group(data, 1, k=2),
        "keep_apart": lambda data: ccip.keep_apart(data, [1, 2]),
        "keep_together": lambda data: ccip.keep_together(data[:2]),
        "set_cover": lambda data: ccip.set_cover(data[:1]),
        "add_and_group": lambda data: ccip.add_and_group(data.name, *images),
        "add_images": lambda data: ccip.add_images(data.name, *images),
        "open_dataset": lambda data: ccip.open_dataset(data.name),
        "load_character_similarity": lambda data: ccip.load_character_similarity(archive, name=data.name),
        "Questions": lambda data: ask(ccip.Questions(data)),
    }


def archive_of(images):
    """An archive of images by character, as they are published."""
    path = images[0].parent / "images.tar"
    with tarfile.open(path, "w") as archive:
        for number, image in enumerate(images):
            archive.add(image, f"{number}/{number}.jpg")
    return path


def changes():
    """What is done before a function is called, which has nothing to do otherwise: a copy has no changes."""
    import ccip_plugin as ccip

    def group(data):
        ccip.group_characters(data, eps=0.2)

    def group_and_undo(data):
        group(data)
        ccip.undo(data)

    def name_and_confirm(data):
        ccip.rename_group(data, 1, "Rei")
        ccip.confirm(data, groups="Rei")

    return {"undo": group, "redo": group_and_undo, "save_library": name_and_confirm}


def ask(questions):
    """What a person does with questions."""
    for first, second in questions.next(1):
        questions.answer(first, second, True)
    questions.fit()


def prepare(images):
    """A dataset with everything that functions work on."""
    import fiftyone as fo

    import ccip_plugin as ccip
    from tests.support import faults

    data = fo.Dataset(persistent=True)
    data.add_samples([fo.Sample(filepath=str(path)) for path in images])
    faults.fill(data, LETTERS)
    ccip.evaluate_groups(data, "character_group", "who")
    ccip.calibrate(data, ground_truth_field="who")
    return data


def delete(database, name):
    """As another program deletes a dataset."""
    document = database.datasets.find_one_and_delete({"name": name})
    database.drop_collection(document["sample_collection_name"])
    for field, collection in (("runs", "runs"), ("brain_methods", "runs"), ("saved_views", "views")):
        kept = document.get(field) or {}
        ids = [getattr(each, "id", each) for each in (kept.values() if isinstance(kept, dict) else kept)]
        database[collection].delete_many({"_id": {"$in": ids}})


def until_answers(work):
    """Calls it until the database answers again."""
    for _ in range(100):
        try:
            return work()
        except (pymongo.errors.PyMongoError, ConnectionError):
            pass
    raise AssertionError("the database does not answer any more")


def told(call, data):
    """The error of a call, and what it says."""
    from ccip_plugin.core.errors import CCIPError

    try:
        call(data)
    except CCIPError as error:
        return {"says": f"{type(error).__name__}: {error}"}
    except Exception:
        return {"raw": traceback.format_exc()}
    return {}


def walk(fault, images):
    """Calls each function, and lets it happen earlier and later in it."""
    relay, database = connect()
    data, before = prepare(images), changes()
    for name, call in calls(images, data.distinct("character_group.label")[0]).items():
        for n in AFTER[fault]:
            copy = until_answers(data.clone)
            copy_name = copy.name
            before.get(name, lambda data: None)(copy)
            relay.arm(n, relay.cut if fault == "gone" else lambda copy_name=copy_name: delete(database, copy_name))
            said = told(call, copy)
            has_ended_before = relay.disarm()
            if fault == "gone" and not has_ended_before:
                relay.restore()
            print(json.dumps({"function": name, "after": n, "happened": not has_ended_before, **said}), flush=True)
            if has_ended_before == (fault == "deleted"):  # once is enough where each takes seconds
                break


if __name__ == "__main__":
    from pathlib import Path

    walk(sys.argv[1], [Path(path) for path in sys.argv[2:]])
