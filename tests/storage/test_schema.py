"""Fields are declared as the database has them, whatever the dataset object in memory says."""

import fiftyone as fo
import pytest

from ccip_plugin.storage import internals
from ccip_plugin.storage.lease import lease
from ccip_plugin.storage.schema import (
    DatasetGoneError,
    FieldReadOnlyError,
    FieldTypeError,
    check_type,
    check_writable,
    declare,
    refresh_field,
    stored_field,
)

pytestmark = pytest.mark.mongo

DECLARE = """
    import sys, fiftyone as fo
    data = fo.load_dataset(sys.argv[1])
    data.add_sample_field(sys.argv[2], fo.StringField, info={"by": "another process"})
"""


@pytest.fixture
def data(dataset):
    """A dataset with detections in ``faces`` and a read-only field ``locked``."""
    data = dataset(persistent=True)
    data.add_sample_field("faces", fo.EmbeddedDocumentField, embedded_doc_type=fo.Detections)
    data.add_sample_field("locked", fo.EmbeddedDocumentField, embedded_doc_type=fo.Classification, read_only=True)
    return data


@pytest.mark.parametrize(
    "path, is_declared",
    [
        pytest.param("filepath", True, id="a field"),
        pytest.param("faces.detections", True, id="the list of detections"),
        pytest.param("faces.detections.label", True, id="an attribute"),
        pytest.param("faces.label", False, id="no attribute of the field itself"),
        pytest.param("absent", False, id="no field"),
        pytest.param("absent.detections.label", False, id="an attribute of no field"),
    ],
)
def test_reads_declarations(data, path, is_declared):
    stored = stored_field(data, path)
    assert (stored is not None) is is_declared
    if stored is not None:
        assert stored["name"] == path.rpartition(".")[2]


def test_a_deleted_dataset_says_so(dataset):
    data = dataset()
    internals.database().datasets.delete_one({"_id": internals.dataset_id(data)})
    with pytest.raises(DatasetGoneError, match=data.name) as caught:
        stored_field(data, "filepath")
    assert caught.value.name == data.name


@pytest.mark.parametrize(
    "path, read_only",
    [
        pytest.param("faces.detections.score", None, id="undeclared"),
        pytest.param("filepath", None, id="writable"),
        pytest.param("locked", "locked", id="read-only"),
        pytest.param("locked.label", "locked", id="in a read-only field"),
    ],
)
def test_checks_that_a_field_is_writable(data, path, read_only):
    if read_only is None:
        check_writable(data, path)
        return
    with pytest.raises(FieldReadOnlyError, match=r"field\.read_only = False; field\.save\(\)") as caught:
        check_writable(data, path)
    assert caught.value.path == read_only


@pytest.mark.parametrize(
    "kind, document_type, problem",
    [
        pytest.param(fo.EmbeddedDocumentField, fo.Detections, None, id="the type"),
        pytest.param(fo.EmbeddedDocumentField, None, None, id="any document"),
        pytest.param(fo.EmbeddedDocumentField, fo.Classification, "not Classification", id="another document"),
        pytest.param(fo.StringField, None, "not StringField", id="another type"),
    ],
)
def test_checks_the_type_of_a_field(data, kind, document_type, problem):
    check_type(data, "absent", kind, document_type)
    if problem is None:
        check_type(data, "faces", kind, document_type)
        return
    with pytest.raises(FieldTypeError, match=f"'faces' holds .*, {problem}; choose another field name") as caught:
        check_type(data, "faces", kind, document_type)
    assert caught.value.path == "faces"


@pytest.mark.parametrize("path", ["name", "faces.detections.name"])
def test_declares_once(data, path):
    declare(data, path, fo.StringField, description="first")
    declare(data, path, fo.StringField, description="second")
    assert data.get_field(path).description == "first"
    assert stored_field(data, path)["description"] == "first"
    with pytest.raises(FieldTypeError):
        declare(data, path, fo.IntField)


def test_declares_nothing_in_a_read_only_field(data):
    with pytest.raises(FieldReadOnlyError):
        declare(data, "locked.rank", fo.IntField)
    assert stored_field(data, "locked.rank") is None


def test_processes_declare_one_after_the_other(data):
    with lease(data, "schema", wait=0):
        declare(data, "filepath", fo.StringField)  # declared: waits for no lease
        assert stored_field(data, "late") is None
    declare(data, "late", fo.StringField)
    assert stored_field(data, "late") is not None


@pytest.mark.slow
def test_keeps_what_another_process_has_declared(data, run_python):
    run_python(DECLARE, data.name, "theirs")
    assert not data.has_field("theirs")
    declare(data, "ours", fo.StringField)
    assert stored_field(data, "theirs")["info"] == {"by": "another process"}
    run_python(DECLARE, data.name, "both")
    declare(data, "both", fo.StringField)
    assert stored_field(data, "both")["info"] == {"by": "another process"}


@pytest.mark.slow
def test_sees_fields_that_another_process_declared_or_deleted(data, run_python):
    run_python(DECLARE, data.name, "theirs")
    refresh_field(data, "theirs")
    assert data.has_field("theirs")
    run_python("import sys, fiftyone as fo; fo.load_dataset(sys.argv[1]).delete_sample_field('theirs')", data.name)
    refresh_field(data, "theirs")
    assert not data.has_field("theirs")
