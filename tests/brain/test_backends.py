"""The similarity backends: which there are, and which can be used."""

import fiftyone.brain as fob
import pytest

from ccip_plugin.brain.backends import BackendError, SimilarityError, backends, check_backend, first_line, incomplete

pytestmark = pytest.mark.mongo


def test_names_the_backends(monkeypatch):
    monkeypatch.setitem(fob.brain_config.similarity_backends["milvus"], "uri", "http://milvus:19530")
    found = {backend.name: backend for backend in backends()}
    assert list(found)[:2] == ["sklearn", "lancedb"]
    assert found.keys() == fob.brain_config.similarity_backends.keys()
    assert [name for name, backend in found.items() if backend.is_set_up] == ["sklearn", "lancedb", "milvus"]
    assert (found["sklearn"].problem, found["sklearn"].is_exact) == (None, False)
    assert found["milvus"].place == "http://milvus:19530"
    assert "pymilvus" in found["milvus"].problem


def test_a_backend_of_which_the_class_is_gone_is_a_problem(monkeypatch):
    monkeypatch.setitem(fob.brain_config.similarity_backends, "gone", {"config_cls": "no_such_package.Config"})
    (gone,) = (backend for backend in backends() if backend.name == "gone")
    assert "no_such_package" in gone.problem
    with pytest.raises(BackendError, match="'gone' needs a package that is not installed"):
        check_backend("gone")


def test_a_backend_without_the_metric_is_a_problem():
    problems = {backend.name: backend.problem for backend in backends()}
    assert problems["sklearn"] is None
    refusing = [name for name, problem in problems.items() if problem and "metric" in problem]
    for name in refusing:
        with pytest.raises(BackendError, match="does not support the metric 'euclidean'"):
            check_backend(name)


def test_checks_backends(monkeypatch):
    check_backend("sklearn")
    with pytest.raises(SimilarityError, match=r"unknown backend 'faiss'; available: .*sklearn"):
        check_backend("faiss")


def test_says_how_many_vectors_are_missing():
    assert str(incomplete("qdrant", 9, 1000)).endswith("'qdrant' holds 9 of 1,000 vectors")
    assert "FIFTYONE_BRAIN_SIMILARITY_LANCEDB_URI" in str(incomplete("lancedb", 9, 10))


@pytest.mark.parametrize("error, text", [(ValueError("one\ntwo"), "one"), (KeyError(), "KeyError"), (OSError(" "), "")])
def test_first_line_of_an_error(error, text):
    assert first_line(error) == text
