"""Texts in the results of a run: read a few at a time, by us and as FiftyOne reads, copies and deletes results."""

import fiftyone as fo
import fiftyone.core.odm as foo
import pytest
from bson import ObjectId
from gridfs import GridFS

from ccip_plugin.storage.internals import forget_runs, run_document, update_run_document
from ccip_plugin.storage.run_files import RunFileError, TextFile, delete_unused, write_texts
from ccip_plugin.storage.runs import register

pytestmark = pytest.mark.mongo


@pytest.fixture
def run(dataset):
    """A dataset with a run ``k``, and the id of its document."""
    data = dataset("/0.png", "/1.png")
    register(data, "k", "method", n=1)
    return data, run_document(data, "k", ["_id"])["_id"]


def attach(data, file_id):
    update_run_document(data, "k", {}, {"$set": {"results": file_id, "results_meta": {}}})
    forget_runs(data)


@pytest.mark.parametrize("lengths", [[1], [3, 0, 5], [300_000, 1, 255 * 1024, 7], [100] * 3000, [255 * 1024] * 3])
def test_any_of_the_texts_is_read_alone(run, lengths):
    texts = [chr(ord("a") + number % 26) * length for number, length in enumerate(lengths)]
    file = TextFile(write_texts(run[1], {"names": ["é", 'a "quote"']}, texts))
    assert file.values == {"cls": "fiftyone.core.runs.RunResults", "names": ["é", 'a "quote"'], "lengths": lengths}
    n = len(texts)
    for numbers in ([], [0], [n - 1], range(n), range(0, n, 2), sorted({0, n // 2, n - 1})):
        assert list(file.texts(numbers)) == [texts[number] for number in numbers]


def test_fiftyone_reads_copies_and_deletes_it(run):
    data, run_id = run
    attach(data, write_texts(run_id, {"first_ids": [1]}, ["abc", "def"]))
    assert data.load_run_results("k").parts == ["abc", "def"]
    clone = data.clone()
    copied = run_document(clone, "k", ["results"])["results"]
    assert copied != run_document(data, "k", ["results"])["results"]
    assert list(TextFile(copied).texts([1])) == ["def"]
    clone.delete()
    data.delete_run("k")
    for file_id in (copied, run_id):
        with pytest.raises(RunFileError, match="is missing or damaged"):
            TextFile(file_id)
    assert foo.get_db_conn().fs.files.count_documents({"metadata.ccip_run": run_id}) == 0


@pytest.mark.parametrize("content", ["{}", "[]", '"x"', "x", '{"parts": ["a"], "lengths": []}', '{"lengths": 3}', "é"])
def test_something_else_in_its_place(run, content):
    with pytest.raises(RunFileError):
        list(TextFile(GridFS(foo.get_db_conn()).put(content.encode())).texts([0]))


def test_files_that_are_not_used_are_deleted_and_others_stay(run):
    data, run_id = run
    other = fo.Dataset()
    try:
        register(other, "k", "method", n=1)
        files = [write_texts(run_id, {}, ["a"]) for _ in range(4)]
        of_another = write_texts(run_document(other, "k", ["_id"])["_id"], {}, ["b"])
        of_none = write_texts(ObjectId(), {}, ["c"])
        data.save_run_results("k", data.init_run_results("k", x=1), cache=False)
        delete_unused(run_id, (files[1], files[3], None))
        left = {file["_id"] for file in foo.get_db_conn().fs.files.find({}, ["_id"])}
        assert left.intersection([*files, of_another, of_none]) == {files[1], files[3], of_another}
        forget_runs(data)
        assert data.load_run_results("k").x == 1
    finally:
        other.delete()
