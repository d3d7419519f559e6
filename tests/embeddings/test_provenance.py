"""Where the embeddings in a field come from."""

from dataclasses import replace

import fiftyone as fo
import pytest

from ccip_plugin.embeddings.provenance import (
    Provenance,
    embeddings_fields,
    fields_by_model,
    read_provenance,
    write_provenance,
)
from ccip_plugin.storage.fields import EMBEDDINGS_FIELD
from ccip_plugin.storage.schema import declare
from ccip_plugin.storage.targets import resolve

pytestmark = pytest.mark.mongo

OURS = Provenance("ccip-demo", reading_policy=1, sha256="a" * 64, revision="r", providers=("CPUExecutionProvider",))


def test_is_stored_as_plain_values():
    stored = {**OURS.as_dict(), "of_another_tool": 1}
    assert type(stored["providers"]) is list
    assert Provenance.from_dict(stored) == OURS


@pytest.mark.parametrize(
    "info",
    [
        pytest.param(None, id="no info"),
        pytest.param({}, id="empty"),
        pytest.param({"model_name": "ccip-demo"}, id="no reading policy"),
        pytest.param({"reading_policy": 1}, id="no model"),
        pytest.param({"model_name": 7, "reading_policy": 1}, id="a model that is no text"),
    ],
)
def test_what_another_tool_keeps_is_no_provenance(info):
    assert Provenance.from_dict(info) is None


@pytest.mark.parametrize(
    "changes, text",
    [
        pytest.param({}, None, id="the same"),
        pytest.param({"providers": ("CUDAExecutionProvider",)}, None, id="another provider"),
        pytest.param({"sha256": None}, None, id="an unknown file"),
        pytest.param({"revision": "other"}, None, id="another revision of the same file"),
        pytest.param({"model_name": "other"}, "model other in the field, ccip-demo now", id="another model"),
        pytest.param({"sha256": "b" * 64}, "bbbbbbbbbbbb... in the field, aaaaaaaaaaaa... now", id="another file"),
        pytest.param({"reading_policy": 2}, "reading policy 2 in the field, 1 now", id="another reading policy"),
        pytest.param({"normalized": False}, "unit length False", id="raw vectors"),
        pytest.param({"precision": "float16"}, "precision float16", id="another precision"),
        pytest.param({"alpha": 0.1}, "alpha 0.1", id="larger crops"),
        pytest.param({"force_square": True}, "force_square True", id="square crops"),
    ],
)
def test_what_may_not_join(changes, text):
    contrast = OURS.contrast(replace(OURS, **changes))
    assert contrast is None if text is None else text in contrast


def test_nothing_joins_unrecorded_embeddings():
    assert "not recorded" in OURS.contrast(None)


def test_joining_keeps_what_is_recorded():
    adopted = replace(OURS, sha256=None, revision=None, providers=("CUDAExecutionProvider",), adopted=True)
    joined = OURS.joined(replace(adopted, closed_form=False))
    assert joined == replace(
        OURS, providers=("CUDAExecutionProvider", "CPUExecutionProvider"), adopted=True, closed_form=False
    )
    assert adopted.joined(OURS).sha256 == OURS.sha256
    assert OURS.joined(None) is OURS


@pytest.mark.parametrize("patches_field", [None, "faces"])
def test_fields_with_embeddings_the_default_first(dataset, patches_field):
    data = dataset()
    data.add_sample_field("faces", fo.EmbeddedDocumentField, embedded_doc_type=fo.Detections)
    target = resolve(data, patches_field)
    for name in ("b_vectors", "a_vectors", EMBEDDINGS_FIELD, "of_another_tool"):
        declare(data, target.path(name), fo.VectorField)
    declare(data, target.path("text"), fo.StringField, info=OURS.as_dict())
    assert embeddings_fields(target) == {}
    for name in ("b_vectors", "a_vectors"):
        write_provenance(data, target.path(name), replace(OURS, model_name="other"))
    write_provenance(data, target.path(EMBEDDINGS_FIELD), OURS)
    assert list(embeddings_fields(target)) == [EMBEDDINGS_FIELD, "a_vectors", "b_vectors"]
    assert embeddings_fields(target)[EMBEDDINGS_FIELD] == OURS
    assert fields_by_model(target) == {"ccip-demo": EMBEDDINGS_FIELD, "other": "a_vectors"}


def test_writing_keeps_the_info_of_others(dataset):
    data = dataset()
    declare(data, "vectors", fo.VectorField, info={"of_another_tool": 1})
    assert read_provenance(data, "vectors") is None
    assert read_provenance(data, "absent") is None
    write_provenance(data, "vectors", OURS)
    assert read_provenance(data, "vectors") == OURS
    assert data.get_field("vectors").info["of_another_tool"] == 1
