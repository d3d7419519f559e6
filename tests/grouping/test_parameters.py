"""Parameters of a run, and that a method is offered wherever its record is."""

import pytest

from ccip_plugin.cli import parsers
from ccip_plugin.core.calibration import PublishedParameters
from ccip_plugin.core.clustering import METHODS, ClusteringMethod
from ccip_plugin.core.clustering.methods import from_threshold
from ccip_plugin.core.errors import ParameterError, UnknownPresetError
from ccip_plugin.grouping.options import CALIBRATED, PUBLISHED, GroupingOptions, method_choices, method_label
from ccip_plugin.grouping.parameters import GroupingParameters, choose_parameters
from docs.generated import help_of

MODEL = PublishedParameters("m", 0.2, {"dbscan": (0.2, 2), "optics": (0.5, 5)})


def test_defaults_are_published():
    assert choose_parameters(MODEL) == GroupingParameters("linkage", 0.2, 2, "m", source=PUBLISHED)


@pytest.mark.parametrize(
    "options, calibrated, expected",
    [
        pytest.param({"method": "dbscan"}, None, (0.2, 2, PUBLISHED), id="a method"),
        pytest.param({"eps": 0.1, "min_samples": 4}, None, (0.1, 4, PUBLISHED), id="given"),
        pytest.param({"eps": 0.0, "min_samples": 1}, None, (0, 1, PUBLISHED), id="zero and one are values"),
        pytest.param({}, (0.15, 3), (0.15, 3, CALIBRATED), id="calibrated"),
        pytest.param({"eps": 0.1}, (0.15, 3), (0.1, 3, CALIBRATED), id="calibrated, but eps"),
    ],
)
def test_given_parameters_come_first(options, calibrated, expected):
    parameters = choose_parameters(MODEL, GroupingOptions(**options), calibrated=calibrated)
    assert (parameters.eps, parameters.min_samples, parameters.source) == expected


def test_a_model_without_the_preset_of_a_method_is_an_error():
    with pytest.raises(UnknownPresetError, match="optics_best"):
        choose_parameters(MODEL, GroupingOptions(method="optics_best"))


def test_an_unknown_method_is_an_error_that_lists_the_methods():
    with pytest.raises(ParameterError, match="linkage, dbscan"):
        GroupingOptions(method="kmeans")


def test_a_record_is_all_that_form_and_command_line_need(monkeypatch):
    method = ClusteringMethod(
        "one_group", "toy", "One group", "all in one", from_threshold(0.5, min_samples=7), lambda task: task.result([0])
    )
    monkeypatch.setitem(METHODS, "one_group", method)
    choice = method_choices()[-1]
    assert (choice.value, choice.label, choice.description) == ("one_group", "One group", "all in one")
    assert method_label("one_group") == "One group"
    options = GroupingOptions(method="one_group")
    assert choose_parameters(MODEL, options) == GroupingParameters("one_group", 0.1, 7, "m", options=options)
    assert "one_group" in help_of("group")
    parsed = parsers.parse(["group", "images", "--dataset", "d", "--method", "one_group"], "ccip")
    assert parsed.method == "one_group"


def test_a_method_that_no_longer_exists_has_its_name_for_a_label():
    assert method_label("kmeans") == "kmeans" and method_label("linkage") == "Average linkage"
