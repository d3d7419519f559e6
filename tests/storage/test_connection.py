"""Errors of the database are errors of this package, whatever a function does when it goes."""

import json

import pytest
from local_services import find_mongod

import ccip_plugin
from tests.support import services

pytestmark = [pytest.mark.mongo, pytest.mark.slow]

USE_DATABASE = set(ccip_plugin.__all__) - {
    "__version__",
    "find_images",
    "load_library",
    "manage_models",
    "merge_libraries",
    "register_model",
    "unregister_model",
}
CREATE_DATASETS = {
    "add_and_group",
    "add_images",
    "load_character_similarity",
    "open_dataset",
}  # given a name that is not there


@pytest.mark.parametrize(
    "fault, says", [("gone", "DatabaseError: the database of FiftyOne: it does not answer"), ("deleted", "was deleted")]
)
def test_public_functions_whose_database_or_dataset_goes(run_python, images, model_dir, fault, says):
    paths = images("aabbbc")
    done = run_python(
        ["-m", "tests.support.database.interrupted", fault], *paths, timeout=400, CCIP_MODEL_DIR=str(model_dir)
    )
    tried = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert {each["function"] for each in tried} == USE_DATABASE
    assert [each for each in tried if "raw" in each] == []
    silent = {each["function"] for each in tried if each["happened"] and says not in each.get("says", "")}
    assert silent <= CREATE_DATASETS
    assert {each["function"] for each in tried if each["happened"]} == USE_DATABASE


GROUPS = """
    import os, signal, sys
    os.environ["FIFTYONE_DATABASE_URI"] = f"mongodb://127.0.0.1:{sys.argv[1]}/?serverSelectionTimeoutMS=500"
    import fiftyone as fo
    import ccip_plugin as ccip
    from ccip_plugin.core.errors import CCIPError
    from tests.support.groups import embed

    LETTERS = "abcdefgh" * 50

    def kill(progress):
        if progress.stage == sys.argv[3]:
            os.kill(int(sys.argv[2]), signal.SIGKILL)

    if sys.argv[2:]:
        data = fo.Dataset("of the killed", persistent=True)
        data.add_samples([fo.Sample(filepath=f"/{n}.png") for n in range(len(LETTERS))])
        embed(data, LETTERS)
        try:
            ccip.group_characters(data, progress=kill)
        except CCIPError as error:
            print(f"{type(error).__name__}: {error}", flush=True)
        os._exit(0)  # FiftyOne would look for its database
    data = fo.load_dataset("of the killed")
    ccip.group_characters(data)
    groups = dict(zip(LETTERS, data.values("character_group.label")))
    assert data.values("character_group.label") == [groups[letter] for letter in LETTERS], groups
    assert len(set(groups.values())) == 8, groups
"""


@pytest.mark.skipif(find_mongod() is None, reason="the tests run on a server that was started elsewhere")
@pytest.mark.parametrize("stage", ["reading embeddings", "matching groups", "writing labels"])
def test_a_server_that_is_killed_in_the_middle_of_a_grouping(run_python, tmp_path, stage):
    with services.Mongo(tmp_path / "mongo") as server:
        done = run_python(GROUPS, server.port, server.running.pid, stage)
        (line,) = done.stdout.splitlines()
        assert line.startswith("DatabaseError: the database of FiftyOne: it does not answer (127.0.0.1:")
        assert line.endswith(
            "What was written is kept: start it and run this again; FIFTYONE_DATABASE_URI, if set, is its address"
        )
        server.stop()
        server.start()
        run_python(GROUPS, server.port)
