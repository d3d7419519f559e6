"""Public functions that are given values of a wrong type say so, in an error of this package."""

import inspect
import typing

import pytest

import ccip_plugin
from ccip_plugin.core.errors import CCIPError
from ccip_plugin.core.references import References
from tests.support import faults
from tests.support.groups import vector

pytestmark = pytest.mark.mongo

FUNCTIONS = [name for name in ccip_plugin.__all__ if inspect.isfunction(getattr(ccip_plugin, name))]
WRONG = (5, "a b", [object()], -1.5)
NEEDED = {  # arguments without default
    "compare_runs": {"first": "ccip_groups", "second": "ccip_groups"},
    "drop_change": {"number": 1},
    "evaluate_groups": {"group_field": "character_group", "ground_truth_field": "character"},
    "evaluate_model": {"ground_truth_field": "character"},
    "export_decisions": {"path": "decisions.json"},
    "import_decisions": {"path": "decisions.json"},
    "load_character_similarity": {"path_or_subset": "/no folder"},
    "load_library": {"path": "/no folder"},
    "merge_libraries": {"first": "/no folder", "second": "/no folder"},
    "move": {"to": "char_0001"},
    "name_characters": {"references": References.of({"Rei": vector("a", 9)}), "above": 0},
    "open_dataset": {"name": "mine"},
    "rename_group": {"group": "char_0001", "name": "Rei"},
    "save_answers": {"answers": []},
    "show_group": {"group": "char_0001"},
    "save_library": {"path": "characters"},
    "split_group": {"group": "char_0001", "k": 2},
}


@pytest.fixture
def data(dataset, images, model_dir, monkeypatch, tmp_path):
    """A dataset with everything that functions work on, and a tiny model."""
    monkeypatch.chdir(tmp_path)  # where a file of a name goes
    monkeypatch.setenv("CCIP_MODEL_DIR", str(model_dir))
    return faults.fill(dataset(*images(faults.LETTERS), persistent=True))


def is_raw(error):
    return error is not None and not isinstance(error, CCIPError)


def error_of(function, *arguments, **options):
    try:
        function(*arguments, **options)
    except Exception as error:
        return error
    return None


@pytest.mark.parametrize("name", FUNCTIONS)
def test_arguments_of_a_wrong_type(data, name):
    function = getattr(ccip_plugin, name)
    parameters = list(inspect.signature(function).parameters.values())
    takes_samples = bool(parameters) and parameters[0].name in ("samples", "dataset")
    raw = {}
    for parameter in parameters[takes_samples:]:
        for value in WRONG:
            given, options = [data] if takes_samples else [], dict(NEEDED.get(name, {}))
            if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.VAR_POSITIONAL):
                given.append(value)
            else:
                options[parameter.name] = value
            error = error_of(function, *given, **options)
            if is_raw(error):
                raw[f"{parameter.name}={value!r}"] = repr(error)
    assert raw == {}


@pytest.mark.parametrize(
    "name", [name for name in FUNCTIONS if "samples" in inspect.signature(getattr(ccip_plugin, name)).parameters]
)
def test_what_is_no_dataset_or_view(name):
    raw = {value: error_of(getattr(ccip_plugin, name), value, **NEEDED.get(name, {})) for value in (5, "a", None)}
    assert {value: error for value, error in raw.items() if error is None or is_raw(error)} == {}


def numbers_of(name):
    """The parameters of a function that take numbers, and neither True nor False."""
    found = []
    for parameter in inspect.signature(getattr(ccip_plugin, name)).parameters.values():
        kinds = {parameter.annotation, *typing.get_args(parameter.annotation)}
        if {int, float} & kinds and bool not in kinds:
            found.append(parameter.name)
    return found


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if numbers_of(name)])
def test_true_is_no_number(data, name):
    function = getattr(ccip_plugin, name)
    first, n = next(iter(inspect.signature(function).parameters)), len(ccip_plugin.history(data))
    for parameter in numbers_of(name):
        options = {**NEEDED.get(name, {"group": "char_0001"} if name == "find_similar" else {}), parameter: True}
        arguments = [data] if first in ("samples", "dataset") else []
        error = error_of(function, *arguments, **options)
        assert isinstance(error, CCIPError), f"{name}({parameter}=True): {error!r}"
        assert "True" in str(error)
    assert len(ccip_plugin.history(data)) == n
