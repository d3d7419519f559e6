"""Forms: inputs and their answers, errors, the target; the selection and the answers of scripts."""

import fiftyone as fo
import pytest

from ccip_plugin.app.answers import given, number_of, patches_field_of, text_of
from ccip_plugin.app.counts import n_items, remembered
from ccip_plugin.app.forms import Form, group_field_problem, name_problem, sentence, vector_field_problem
from ccip_plugin.app.selection import NothingSelectedError, n_selected, selected_ids, selected_target
from ccip_plugin.core.options import Choice
from ccip_plugin.storage.targets import resolve
from tests.support.app.operator_tools import context

pytestmark = pytest.mark.mongo

CHOICES = [Choice("a", "First"), Choice("b", "Second")]
MANY = [Choice(str(n), str(n)) for n in range(10)]


@pytest.fixture
def data(dataset):
    """Two samples with a detection each."""
    new = dataset("/絵/a.png", "/絵/b.png")
    for sample in new:
        sample["faces"] = fo.Detections(detections=[fo.Detection(label="f", bounding_box=[0, 0, 1, 1])])
        sample.save()
    return new


def asked(form):
    return form.as_property().to_json()["type"]["properties"]


@pytest.mark.parametrize(
    "choices, options, view",
    [
        pytest.param(CHOICES, {}, "RadioGroup", id="few"),
        pytest.param(CHOICES, {"is_list": True}, "Dropdown", id="few, as a list"),
        pytest.param(MANY, {}, "Dropdown", id="many"),
        pytest.param(MANY, {"is_searchable": True}, "AutocompleteView", id="many that can be searched"),
        pytest.param(CHOICES, {"is_list": True, "is_searchable": True}, "Dropdown", id="few that could be searched"),
        pytest.param([Choice(str(n), str(n), "described") for n in range(10)], {}, "RadioGroup", id="described"),
    ],
)
def test_choices_are_shown_by_their_number(data, choices, options, view):
    form = Form(context(data), "Title")
    form.choose("name", "Label", choices, **options)
    assert asked(form)["name"]["view"]["name"] == view
    assert asked(form)["name"]["type"]["values"] == [choice.value for choice in choices]


def test_inputs_have_descriptions_and_widths(data):
    form = Form(context(data), "Title")
    form.choose("list", "Label", CHOICES, description="why", is_list=True, is_half=True)
    form.text("text", "Label", is_half=True)
    form.number("number", "Label", is_half=True)
    form.choose("radio", "Label", CHOICES, description="why")
    parts = asked(form)
    assert [parts[name]["view"]["description"] for name in ("list", "radio")] == ["why", "why"]
    assert [parts[name]["view"]["space"] for name in ("list", "text", "number")] == [6, 6, 6]


@pytest.mark.parametrize("answer, expected", [(None, "a"), ("", "a"), ("b", "b"), (" b ", "b")])
def test_a_choice_has_a_default(data, answer, expected):
    form = Form(context(data, name=answer), "Title")
    assert form.choose("name", "Label", CHOICES, default="a") == expected


@pytest.mark.parametrize("answer, expected", [(None, "x"), ("  ", "x"), (" 絵 ", "絵")])
def test_a_text_has_a_default(data, answer, expected):
    assert Form(context(data, name=answer), "Title").text("name", "Label", default="x") == expected


@pytest.mark.parametrize("answer, expected", [(None, None), ("", None), (0, 0), ("x", "x")])
def test_a_number_is_what_was_typed(data, answer, expected):
    form = Form(context(data, name=answer), "Title")
    assert form.number("name", "Label", placeholder="0.5") == expected
    assert asked(form)["name"]["view"]["placeholder"] == "0.5"


@pytest.mark.parametrize("answer, default, expected", [(None, True, True), (False, True, False), (True, False, True)])
def test_a_switch_has_a_default(data, answer, default, expected):
    assert Form(context(data, name=answer), "Title").switch("name", "Label", default=default) == expected


def test_a_problem_is_shown_beside_its_input(data):
    form = Form(context(data), "Title")
    form.text("text", "Label", problem="too long")
    form.number("number", "Label", problem="too large")
    form.switch("switch", "Label", problem="not now")
    form.choose("choice", "Label", CHOICES, problem="no such choice")
    invalid = {name: each["error_message"] for name, each in asked(form).items() if each["invalid"]}
    assert invalid == {"text": "too long", "number": "too large", "switch": "not now", "choice": "no such choice"}


def test_messages_and_the_button(data):
    form = Form(context(data), "Title", "Go")
    form.hint("a", "hint")
    form.warning("b", "warning")
    form.error("c", "error")
    inputs = asked(form)
    assert [(name, each["invalid"]) for name, each in inputs.items()] == [
        ("a_hint", False),
        ("b_warning", False),
        ("c_error", True),
    ]
    form.button = "Stop"
    assert form.as_property().to_json()["view"]["submit_button_label"] == "Stop"


def test_the_target_is_known_once_it_was_asked_for(data):
    form = Form(context(data, patches_field="faces"), "Title")
    with pytest.raises(LookupError):
        _ = form.target
    assert form.ask_target("Group") is form.target
    assert form.target.patches_field == "faces"
    assert list(asked(form)) == ["view_target", "patches_field"]


def test_an_error_of_the_target_is_shown(data):
    form = Form(context(data, patches_field="gone"), "Title")
    assert form.ask_target("Group") is None
    assert asked(form)["target_error"]["error_message"].startswith("No field 'gone'")


@pytest.mark.parametrize(
    "name, problem",
    [
        ("new", None),
        ("vectors", None),
        ("a b", "Letters, digits and _ only, a letter first"),
        ("faces", "'faces' contains other values, not vectors: choose another name"),
    ],
)
def test_field_names(data, name, problem):
    data.add_sample_field("vectors", fo.VectorField)
    assert vector_field_problem(resolve(data), name) == problem


def test_group_fields_are_labels_of_samples_and_strings_of_detections(data):
    data.add_sample_field("groups", fo.EmbeddedDocumentField, embedded_doc_type=fo.Classification)
    assert group_field_problem(resolve(data), "groups") is None
    assert group_field_problem(resolve(data, "faces"), "label") is None
    assert "contains other values" in group_field_problem(resolve(data, "faces"), "confidence")
    assert name_problem(resolve(data), "_x", fo.StringField, "names") is not None


@pytest.mark.parametrize("error, text", [(ValueError("no field"), "No field"), ("", ""), ("α", "Α")])
def test_sentences_begin_with_a_capital(error, text):
    assert sentence(error) == text


# -- answers


def test_answers(data):
    ctx = context(data, a=" x ", b="", c=0, d=None, e=False, patches_field="(whole images)")
    assert (text_of(ctx, "a"), text_of(ctx, "b"), text_of(ctx, "gone")) == ("x", None, None)
    assert (number_of(ctx, "c"), number_of(ctx, "b")) == (0, None)
    assert given(ctx, ("a", "b", "c", "d", "e", "gone")) == {"a": "x", "c": 0, "e": False}
    assert patches_field_of(ctx) is None
    assert patches_field_of(context(data, patches_field="faces")) == "faces"


def test_counts_are_made_again_when_the_data_changes(data):
    counts = iter(range(10))
    target = resolve(data)
    assert [remembered(target, "what", lambda: next(counts)) for _ in range(3)] == [0, 0, 0]
    assert remembered(target, "other", lambda: next(counts)) == 1
    data.first().save()
    data.add_sample(fo.Sample("/c.png"))
    assert remembered(target, "what", lambda: next(counts)) == 2
    assert (n_items(target, 1), n_items(resolve(data, "faces"), 2000)) == ("1 image", "2,000 detections")


# -- the selection


def label(data):
    sample = data.first()
    return {"label_id": sample.faces.detections[0].id, "sample_id": sample.id, "field": "faces"}


def test_selected_samples_patches_and_labels(data):
    ids, patches = data.values("id"), data.to_patches("faces")
    assert selected_ids(context(data, selected=ids[:1]), data, None) == ids[:1]
    assert selected_ids(context(data, selected=ids[:1]), data, "faces") == []
    assert selected_ids(context(data, current_sample=ids[1]), data, None) == [ids[1]]
    assert selected_ids(context(patches, selected=["1" * 24]), patches, None) == ["1" * 24]
    assert selected_ids(context(data, selected_labels=[label(data)]), data, "faces") == [label(data)["label_id"]]


def test_the_selection_as_a_target(data):
    ids = data.values("id")
    assert selected_target(context(data, selected=ids[:1])).view.values("id") == ids[:1]
    target = selected_target(context(data, selected_labels=[label(data)]))
    assert (target.patches_field, len(target.view)) == ("faces", 1)
    assert n_selected(context(data, selected=ids)) == 2
    with pytest.raises(NothingSelectedError, match="nothing is selected"):
        selected_target(context(data))
