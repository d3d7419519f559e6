"""Runs are recorded in one step: whoever looks meanwhile finds the earlier one or the later one."""

import fiftyone as fo
import fiftyone.core.odm as foo
import pytest

from ccip_plugin.storage.runs import (
    RunKeyError,
    check_key,
    key_of,
    proposal_key,
    read_config,
    register,
    register_with_results,
    restore,
)

pytestmark = pytest.mark.mongo


def references(data):
    return foo.get_db_conn().datasets.find_one({"_id": data._doc.id})["runs"]


def n_files():
    return foo.get_db_conn()["fs.files"].count_documents({})


def test_an_earlier_run_is_changed_in_place_and_its_results_go(dataset):
    data, n_before = dataset(), n_files()
    register_with_results(data, "groups", "method", {"n": 1, "old": True}, labels=["a"])
    first = references(data)
    told = data.get_run_info("groups").timestamp
    register(data, "groups", "method", n=2)
    assert references(data) == first, "no moment without a run, as it is the same document"
    assert read_config(data, "groups", ("n", "old", "method")) == {"n": 2, "method": "method"}
    assert data.load_run_results("groups") is None
    assert n_files() == n_before

    register_with_results(data, "groups", "method", {"n": 3}, labels=["b"])
    other = fo.load_dataset(data.name)
    other.reload()
    assert other.load_run_results("groups").labels == ["b"]
    info = other.get_run_info("groups")
    assert (info.config.n, info.version) == (3, fo.__version__)
    assert info.timestamp > told


@pytest.mark.slow
def test_registers_and_deletes_what_another_process_has_changed_meanwhile(dataset, run_python):
    data = dataset(persistent=True)
    register(data, "groups", "method", n=1)
    code = """
        import sys
        import fiftyone as fo
        from ccip_plugin.storage.runs import read_config, register, restore
        data = fo.load_dataset(sys.argv[1])
        if sys.argv[2] == "delete":
            restore(data, "groups", None)
        else:
            register(data, "groups", "method", n=int(sys.argv[2]))
        print(data.list_runs())
    """
    assert run_python(code, data.name, "delete").stdout.split() == ["[]"]
    register(data, "groups", "method", n=2)
    assert run_python(code, data.name, "3").stdout.split() == ["['groups']"]
    restore(data, "groups", {"method": "method", "n": 4})
    assert read_config(data, "groups", ("n",)) == {"n": 4}
    assert data.get_run_info("groups").config.n == 4
    run_python(code, data.name, "delete")
    restore(data, "groups", None)
    assert (data.list_runs(), references(data)) == ([], {})


def test_the_dataset_lets_go_of_a_run_before_it_is_deleted(dataset, monkeypatch):
    data, n_before = dataset(), n_files()
    register_with_results(data, "groups", "method", {"n": 1}, labels=["a"])
    seen = []
    delete = foo.RunDocument.delete

    def watched(run):
        seen.append((run.key, references(data)))
        delete(run)

    monkeypatch.setattr(foo.RunDocument, "delete", watched)
    restore(data, "groups", None)
    assert seen == [("groups", {})]
    assert (data.list_runs(), read_config(data, "groups")) == ([], None)
    assert n_files() == n_before


@pytest.mark.parametrize(
    "key, text",
    [
        pytest.param("a b", "letters, digits and _ only", id="a blank"),
        pytest.param("1st", "no digit first", id="a digit first"),
        pytest.param("ccip_registry_character_group", "choose another", id="the registry"),
        pytest.param("ccip_proposal_other", "choose another", id="a proposal"),
        pytest.param("ccip_answers", "choose another", id="answers"),
        pytest.param("mine", "of another kind, theirs", id="a run of another kind"),
    ],
)
def test_what_is_kept_already_is_not_lost_to_a_run_of_the_same_key(dataset, key, text):
    data = dataset()
    register(data, "mine", "theirs", n=1)
    with pytest.raises(RunKeyError, match=text):
        check_key(data, key, "ccip_groups")
    check_key(data, "mine", "theirs", n=1)
    with pytest.raises(RunKeyError, match="is of n 1, not 2"):
        check_key(data, "mine", "theirs", n=2)
    check_key(data, "new", "ccip_groups")


@pytest.mark.parametrize("names, expected", [(("n",), {"n": 1}), (("absent",), {})])
def test_reads_some_values_of_a_configuration(dataset, names, expected):
    data = dataset()
    register(data, "mine", "method", n=1, large=[0] * 10)
    assert read_config(data, "mine", names) == expected
    assert read_config(data, "other") is None


def test_restores_a_configuration_and_deletes_runs(dataset):
    data = dataset()
    register(data, "mine", "method", n=1)
    before = read_config(data, "mine")
    register(data, "mine", "other", n=2)
    restore(data, "mine", before)
    assert read_config(data, "mine") == before
    restore(data, "mine", None)
    restore(data, "mine", None)
    assert data.list_runs() == []


@pytest.mark.parametrize(
    "path, key",
    [("character_group", "character_group"), ("faces.detections.group", "faces_detections_group"), ("絵", "_")],
)
def test_keys_of_fields(path, key):
    assert key_of("ccip_registry", path) == f"ccip_registry_{key}"
    assert proposal_key(path) == f"ccip_proposal_{key}"
