"""The models in FiftyOne's model zoo: by links or a copy, once, and out again."""

import json
import sys
from pathlib import Path

import fiftyone as fo
import fiftyone.operators as foo
import fiftyone.zoo as foz
import pytest
from fiftyone.operators.executor import ExecutionContext, Executor

from ccip_plugin.core.registry import MODELS
from ccip_plugin.zoo import registration, source
from ccip_plugin.zoo.registration import RegistrationError, find_registration, register_model, unregister_model
from tests.support import tiny_models

pytestmark = pytest.mark.mongo

ROOT = Path(__file__).resolve().parents[2]
URI = "@ccip/characters/register_model"


@pytest.fixture(autouse=True)
def zoo_dir(tmp_path, monkeypatch, model_dir):
    """An empty folder of zoo models, and tiny models for every name that is loaded."""
    folder = tmp_path / "動物園 zoo"
    monkeypatch.setattr(fo.config, "model_zoo_dir", str(folder))
    monkeypatch.setenv("CCIP_MODEL_DIR", str(model_dir))
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == source.SOURCE_NAME]:
        del sys.modules[name]


def content(folder):
    """Every file of a folder with its time, and where links lead; links are not followed."""
    return {
        path.relative_to(folder).as_posix(): path.readlink() if path.is_symlink() else path.lstat().st_mtime_ns
        for path in sorted(folder.rglob("*"))
        if not path.is_dir() or path.is_symlink()
    }


@pytest.fixture(params=[pytest.param(False, id="links"), pytest.param(True, id="copy")])
def copy(request):
    return request.param


def test_the_zoo_lists_and_loads_the_models(copy, zoo_dir):
    made = register_model(copy=copy)
    assert (made.is_linked, made.is_ours, made.is_current, made.is_new) == (not copy, True, True, True)
    assert made.folder == zoo_dir / "ccip_characters"
    assert set(made.models) == set(MODELS) <= set(foz.list_zoo_models(tags="embeddings"))
    model = foz.load_zoo_model(tiny_models.NAME, cache=False)
    assert type(model).__module__ == "ccip_characters.ccip_plugin.zoo.model"
    assert set(foz.list_downloaded_zoo_models()) == {tiny_models.NAME}


def test_is_printed_as_text():
    assert str(register_model()).startswith("models registered\n")
    assert str(register_model()).startswith("models already registered\n")
    assert str(unregister_model()).startswith("models removed\n")


def test_again_changes_nothing(copy, zoo_dir):
    register_model(copy=copy)
    before = content(zoo_dir)
    again = register_model(copy=copy)
    assert (again.is_new, again.is_current) == (False, True)
    assert register_model().is_linked is not copy  # a copy stays a copy
    assert content(zoo_dir) == before


def test_out_again_leaves_nothing_and_touches_no_code(copy, zoo_dir):
    code = content(registration.PACKAGE)
    register_model(copy=copy)
    foz.load_zoo_model(tiny_models.NAME, cache=False)
    assert unregister_model().is_ours
    assert list(zoo_dir.iterdir()) == []
    assert foz.list_zoo_models(tags="anime") == []
    assert unregister_model() is None
    assert find_registration() is None
    assert {name: state for name, state in content(registration.PACKAGE).items() if "__pycache__" not in name} == {
        name: state for name, state in code.items() if "__pycache__" not in name
    }


def test_a_link_can_become_a_copy():
    register_model()
    assert not register_model(copy=True).is_linked


def test_where_there_can_be_no_links_it_is_a_copy(monkeypatch):
    def refused(*_, **__):
        raise OSError("a required privilege is not held by the client")

    monkeypatch.setattr(Path, "symlink_to", refused)
    made = register_model()
    assert not made.is_linked
    assert foz.load_zoo_model(tiny_models.NAME, cache=False) is not None


def test_a_copy_of_another_version_is_replaced_and_says_so_until_then(zoo_dir, caplog):
    made = register_model(copy=True)
    record = json.loads((made.folder / source.RECORD).read_text())
    (made.folder / source.RECORD).write_text(json.dumps({**record, "version": "0.0.1", "digest": "old"}))
    assert not find_registration().is_current
    foz.load_zoo_model(tiny_models.NAME, cache=False)
    (message,) = [text for text in caplog.messages if "register_model again" in text]
    assert "copy of version 0.0.1" in message
    assert register_model().is_new
    caplog.clear()
    foz.load_zoo_model(tiny_models.NAME, cache=False)
    assert not any("register_model again" in text for text in caplog.messages)


@pytest.mark.parametrize("name", ["manifest.json", "__init__.py"])
def test_what_was_changed_or_lost_is_made_again(name, copy):
    made = register_model(copy=copy)
    (made.folder / name).unlink()
    assert register_model().is_new
    assert foz.load_zoo_model(tiny_models.NAME, cache=False) is not None


def test_a_link_to_code_that_has_gone_is_made_again(tmp_path):
    made = register_model()
    link = made.folder / "ccip_plugin"
    link.unlink()
    link.symlink_to(tmp_path / "gone", target_is_directory=True)
    assert (find_registration().version, find_registration().is_current) == (None, False)
    assert register_model().package == registration.PACKAGE


def as_downloaded(folder, version="0.1.0"):
    """A source as FiftyOne downloads one."""
    (folder / "ccip_plugin").mkdir(parents=True)
    (folder / "ccip_plugin" / "__init__.py").write_text(f'__version__ = "{version}"\n')
    (folder / "manifest.json").write_text(json.dumps({**source.manifest(), "url": "https://example.org/ccip.zip"}))


def test_a_downloaded_source_is_left_alone(zoo_dir):
    as_downloaded(zoo_dir / "ccip_characters", source.version_in(registration.PACKAGE))
    before = content(zoo_dir)
    found = register_model()
    assert (found.is_ours, found.is_new) == (False, False)
    with pytest.raises(RegistrationError, match="delete_zoo_model_source"):
        unregister_model()
    assert content(zoo_dir) == before


def test_a_downloaded_source_of_another_version_is_replaced_on_request_only(zoo_dir):
    as_downloaded(zoo_dir / "ccip_characters", "0.0.1")
    with pytest.raises(RegistrationError, match=r"version 0.0.1 .* overwrite=True"):
        register_model()
    assert register_model(overwrite=True).is_ours


def test_a_folder_linked_by_hand_is_not_followed(zoo_dir, tmp_path):
    zoo_dir.mkdir()
    as_downloaded(tmp_path / "elsewhere", "0.0.1")
    (zoo_dir / "ccip_characters").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    before = content(tmp_path / "elsewhere")
    register_model(overwrite=True)
    assert content(tmp_path / "elsewhere") == before


def test_says_where_it_cannot_write(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(fo.config, "model_zoo_dir", str(tmp_path / "file"))
    with pytest.raises(RegistrationError, match=r"cannot write .*FIFTYONE_MODEL_ZOO_DIR"):
        register_model()


class TestOperator:
    def run(self, **params):
        """Runs the operator as the App does, without a dataset; gives the table that it shows."""
        operator, ctx = foo.get_operator(URI), ExecutionContext({"params": params}, executor=Executor())
        results = operator.execute(ctx)
        shown = ExecutionContext({"params": params, "results": results}, executor=Executor())
        assert operator.resolve_type(shown, "outputs").to_json()
        return {row["fact"]: row["value"] for row in results["facts"]}

    def form(self, **params):
        ctx = ExecutionContext({"params": params}, executor=Executor())
        inputs = foo.get_operator(URI).resolve_type(ctx, "inputs").to_json()["type"]["properties"]
        return inputs["state_hint"]["view"]["label"], inputs.get("action")

    def test_registers_and_takes_out(self):
        assert "not in FiftyOne's model zoo" in self.form()[0]
        table = self.run()
        assert table["State"] == "registered"
        assert table["In Python"] == f'foz.load_zoo_model("{registration.DEFAULT_MODEL}")'
        state, action = self.form()
        assert "up to date" in state
        assert [choice["value"] for choice in action["view"]["choices"]] == ["register", "remove"]
        assert self.run()["State"] == "already registered"
        assert self.run(action="remove")["State"] == "removed"
        assert self.run(action="remove")["Result"] == "there was no registration"

    def test_says_what_is_there(self, zoo_dir):
        as_downloaded(zoo_dir / "ccip_characters", "0.0.1")
        state, action = self.form()
        assert "downloaded source, version 0.0.1" in state
        assert action is None
        with pytest.raises(Exception, match="overwrite=True"):  # the class of the plugin, not the one imported here
            self.run()
        with pytest.raises(Exception, match="overwrite: can be given from Python only"):
            self.run(overwrite=True)
        foo.get_operator(URI)(overwrite=True)
        (zoo_dir / "ccip_characters" / "manifest.json").unlink()
        assert "another version of the plugin" in self.form()[0]

    def test_from_python(self, dataset):
        operator = foo.get_operator(URI)
        assert operator(dataset()).is_new
        assert operator(remove=True).is_ours
        assert operator(remove=True) is None

    def test_introduces_itself(self):
        config = foo.get_operator(URI).config.to_json()
        assert (config["risk_level"], config["label"]) == ("medium", "CCIP: register models")
