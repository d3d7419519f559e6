"""Reading and running side by side: results, failures, memory, stopping."""

import _thread
import contextlib
import os
import threading
import time

import numpy as np
import pytest
from PIL import Image

from ccip_plugin.core.encoder import Encoder, concurrency, pipeline, workers
from ccip_plugin.core.encoder import reading as image_reading
from ccip_plugin.core.encoder.pipeline import extract
from ccip_plugin.core.encoder.reading import Item
from ccip_plugin.core.errors import EmbeddingError, SessionError
from ccip_plugin.core.preprocessing import crop, load_image
from tests.support import tiny_models
from tests.support.images import odd_images


@pytest.fixture
def encoder(model_dir):
    with Encoder.open(tiny_models.NAME, model_dir=model_dir) as encoder:
        yield encoder


class Wrapped:
    """An encoder with something else about it."""

    def __init__(self, encoder, *, is_cpu=True):
        self.encoder, self.is_cpu = encoder, is_cpu

    def embed_tensor(self, tensor):
        return self.encoder.embed_tensor(tensor)

    def embed_tensors(self, tensors):
        return np.stack([self.embed_tensor(tensor) for tensor in tensors])


class Failing(Wrapped):
    """An encoder that raises from its ``n``-th image on, or at every image that looks ``marked``."""

    def __init__(self, encoder, error, *, n=None, marked=lambda tensor: True, is_cpu=True):
        super().__init__(encoder, is_cpu=is_cpu)
        self.error, self.n, self.marked, self.count = error, n or 0, marked, 0

    def embed_tensor(self, tensor):
        self.count += 1
        if self.count >= self.n and self.marked(tensor):
            raise self.error
        return super().embed_tensor(tensor)


both_lines = pytest.mark.parametrize("is_cpu", [pytest.param(True, id="cpu"), pytest.param(False, id="batches")])


ONE = 100 * 100 * image_reading.READING_BYTES_PER_PIXEL  # what an image of 100 x 100 takes
MUCH = 1 << 30


def items_of(paths):
    return [Item(number, str(path)) for number, path in enumerate(paths)]


def by_key(results):
    found = {result.key: result for result in results}
    assert all((result.vector is None) != (result.error is None) for result in found.values())
    return found


def threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("ccip-")]


@both_lines
def test_odd_files_give_what_the_encoder_gives_or_a_reason(is_cpu, encoder, tmp_path):
    odd = odd_images.write_odd_images(tmp_path)
    found = by_key(extract(items_of([image.path for image in odd]), Wrapped(encoder, is_cpu=is_cpu)))
    for number, image in enumerate(odd):
        if image.is_readable:
            assert np.array_equal(found[number].vector, encoder.embed([image.path])[0]), image.case
        else:
            assert found[number].error, image.case
            assert found[number].source is not None


@both_lines
def test_one_bad_file_among_64_costs_one(is_cpu, encoder, images):
    paths = images("a" * 64)
    paths[20].write_bytes(paths[20].read_bytes()[:100])
    found = by_key(extract(items_of(paths), Wrapped(encoder, is_cpu=is_cpu), batch_size=8))
    assert len(found) == 64
    assert [key for key, result in found.items() if result.error] == [20]


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"workers": 1}, id="one worker"),
        pytest.param({"workers": 7}, id="more workers than cores"),
        pytest.param({"workers": 3, "batch_size": 1}, id="batches of one"),
        pytest.param({"workers": 3, "batch_size": 5}, id="batches that do not divide the number"),
        pytest.param({"workers": 2, "memory": 1}, id="one image at a time"),
    ],
)
def test_vectors_depend_on_the_file_only(options, encoder, images):
    paths = images("abcabcddabc")
    expected = encoder.embed(paths)
    is_cpu = "batch_size" not in options
    found = by_key(extract(items_of(paths), Wrapped(encoder, is_cpu=is_cpu), **options))
    assert np.array_equal([found[number].vector for number in range(len(paths))], expected)


@both_lines
def test_crops_of_an_image_come_from_one_decoding(is_cpu, encoder, tmp_path, monkeypatch):
    path = tmp_path / "二人.png"
    odd_images.drawing(200, 150).save(path)
    decoded = []
    monkeypatch.setattr(
        image_reading, "load_image", lambda file, **limits: decoded.append(file) or load_image(file, **limits)
    )
    boxes = {
        "left": [0, 0, 0.5, 1],
        "right": (0.5, 0.1, 0.5, 0.5),
        "outside": [1.5, 0, 0.5, 1],
        "no area": [0.2, 0.2, 0, 0],
        "beyond the edge": [0.8, 0.8, 0.5, 0.5],
        "not there": None,
        "three numbers": [0, 0, 1],
        "words": ["a", "b", "c", "d"],
        "nan": [float("nan"), 0, 1, 1],
    }
    line = Wrapped(encoder, is_cpu=is_cpu)
    found = by_key(extract([Item("image", str(path), boxes)], line, alpha=0.1))
    assert len(decoded) == 1
    assert found.keys() == boxes.keys()
    assert {key for key, result in found.items() if result.error is None} == {"left", "right", "beyond the edge"}
    image = load_image(path)
    for key in ("left", "right", "beyond the edge"):
        assert np.array_equal(found[key].vector, encoder.embed([crop(image, boxes[key], alpha=0.1)])[0])


def test_boxes_can_be_made_square(encoder, tmp_path):
    odd_images.drawing(200, 150).save(tmp_path / "a.png")
    box = [0.1, 0.1, 0.2, 0.6]
    found = by_key(extract([Item("a", str(tmp_path / "a.png"), {"box": box})], encoder, force_square=True))
    square = crop(load_image(tmp_path / "a.png"), box, square=True)
    assert np.array_equal(found["box"].vector, encoder.embed([square])[0])


def test_a_bad_file_is_the_failure_of_all_its_boxes(encoder, tmp_path):
    path = tmp_path / "bad.png"
    path.write_bytes(b"no image")
    found = by_key(extract([Item("image", str(path), {"a": [0, 0, 1, 1], "b": [0, 0, 1, 1]})], encoder))
    assert found.keys() == {"a", "b"}
    assert found["a"].error == found["b"].error


def test_what_cannot_be_opened_has_a_reason_and_no_state(encoder, tmp_path, images):
    os.mkfifo(tmp_path / "pipe.png")
    locked = images("a", folder=tmp_path / "locked")[0]
    (tmp_path / "locked").chmod(0)
    paths = [tmp_path / "nowhere.png", tmp_path, tmp_path / "pipe.png", "nul\0byte.png", "x" * 5000]
    paths += [locked] if not os.access(locked, os.R_OK) else []  # root may read everything
    found = by_key(extract(items_of(paths), encoder))
    (tmp_path / "locked").chmod(0o700)
    assert len(found) == len(paths)
    assert found[0].error == "file not found"
    assert all(result.error and result.source is None for result in found.values())


def test_the_state_of_a_file_changes_with_it(encoder, images):
    path = images("a")[0]
    before = by_key(extract(items_of([path]), encoder))[0].source
    assert by_key(extract(items_of([path]), encoder))[0].source == before == image_reading.file_state(path.stat())
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))
    assert by_key(extract(items_of([path]), encoder))[0].source != before


def test_an_image_over_the_limit_of_pixels_fails(encoder, images):
    paths = [*images("a", size=(100, 100)), *images("a", size=(101, 100))]
    found = by_key(extract(items_of(paths), encoder, max_pixels=10_000))
    assert found[0].error is None
    assert "limit" in found[1].error


@both_lines
def test_an_image_without_usable_vector_fails_alone(is_cpu, encoder, images):
    paths = images("aaabaa")
    dark = load_image(paths[3])
    is_b = lambda tensor: np.allclose(tensor[:, 200, 200], image_reading.preprocess(dark)[:, 200, 200])  # noqa: E731
    broken = Failing(encoder, EmbeddingError("not finite"), marked=is_b, is_cpu=is_cpu)
    found = by_key(extract(items_of(paths), broken))
    assert {key: result.error for key, result in found.items() if result.error} == {3: "not finite"}


@both_lines
@pytest.mark.parametrize(
    "error",
    [
        pytest.param(SessionError("the device is lost"), id="the model cannot be run"),
        pytest.param(ZeroDivisionError("a mistake"), id="an error of the program"),
    ],
)
def test_an_error_that_is_no_images_ends_the_work(is_cpu, error, encoder, images):
    results = extract(items_of(images("a" * 40)), Failing(encoder, error, n=17, is_cpu=is_cpu), batch_size=4, workers=2)
    found = []
    with pytest.raises(type(error), match=str(error)):
        found.extend(results)
    assert 12 <= len(found) <= 17
    assert threads() == []


def test_an_error_in_reading_that_is_no_images_ends_the_work(encoder, images, monkeypatch):
    def broken(file, **limits):
        raise AttributeError("a mistake")

    monkeypatch.setattr(image_reading, "load_image", broken)
    with pytest.raises(AttributeError, match="a mistake"):
        list(extract(items_of(images("aaaa")), encoder))


@both_lines
def test_an_error_while_an_image_is_held_does_not_stop_the_others_for_ever(is_cpu, encoder, images):
    items = [Item(n, str(path), {n: [0, 0, 1, 1]}) for n, path in enumerate(images("a" * 12))]
    broken = Failing(encoder, SessionError("lost"), is_cpu=is_cpu)
    with pytest.raises(SessionError):
        list(extract(items, broken, workers=4, memory=1))
    assert threads() == []


def test_an_error_in_the_items_reaches_the_caller(encoder, images):
    def items():
        yield from items_of(images("aa"))
        raise LookupError("no more")

    results = extract(items(), encoder, workers=3)
    found = []
    with pytest.raises(LookupError, match="no more"):
        found.extend(results)
    assert len(found) == 2


@both_lines
def test_closing_ends_the_work_after_the_images_in_hand(is_cpu, encoder, images, monkeypatch):
    monkeypatch.setattr(workers, "WAITING_RESULTS", 2)
    path = str(images("a")[0])
    taken = []

    def items():
        for number in range(10_000):
            taken.append(number)
            yield Item(number, path)

    with contextlib.closing(extract(items(), Wrapped(encoder, is_cpu=is_cpu), workers=2, batch_size=4)) as results:
        for _ in range(3):
            next(results)
    assert threads() == []
    assert len(taken) < 40


def test_items_are_not_taken_far_ahead_of_a_slow_reader(encoder, images, monkeypatch):
    monkeypatch.setattr(workers, "WAITING_RESULTS", 4)
    path = str(images("a")[0])
    taken = []
    items = (taken.append(number) or Item(number, path) for number in range(200))
    results = extract(items, encoder, workers=2)
    next(results)
    n_taken = 0
    while len(taken) > n_taken:  # until nobody takes any more
        n_taken = len(taken)
        time.sleep(0.5)
    assert n_taken <= 1 + 4 + 3 + 1  # given, waiting, in hands, about to be taken
    assert len(list(results)) == 199


@pytest.mark.parametrize(
    "share, is_asked, more",
    [
        pytest.param(1.0, False, 0, id="all cores are ours"),
        pytest.param(0.9, False, 0, id="nearly"),
        pytest.param(0.5, False, 1, id="others use them"),
        pytest.param(0.5, True, 0, id="others use them, and so many are asked for"),
    ],
)
@pytest.mark.parametrize("workers", [1, 2, 5])
def test_one_reads_ahead_and_helps_while_others_use_the_cores(
    workers, share, is_asked, more, encoder, images, monkeypatch
):
    lock, running, most, reading, all_read = threading.Lock(), [], [], [], threading.Event()

    class Counting(Wrapped):
        def embed_tensor(self, tensor):
            with lock:
                running.append(1)
                most.append(len(running))
            all_read.wait(20)
            time.sleep(0.02)  # so that there is time for one too many
            vector = super().embed_tensor(tensor)
            with lock:
                running.pop()
            return vector

    def counted(file, **limits):
        with lock:
            reading.append(1)
            if len(reading) == workers + 1:
                all_read.set()
        return load_image(file, **limits)

    def clocks():
        return time.perf_counter(), share * time.perf_counter()

    monkeypatch.setattr(image_reading, "load_image", counted)
    monkeypatch.setattr(concurrency, "_clocks", clocks)
    monkeypatch.setattr(pipeline, "usable_cores", lambda: workers)
    asked = workers if is_asked else None
    found = by_key(extract(items_of(images("a" * 40, size=(50, 50))), Counting(encoder), workers=asked))
    assert len(found) == 40
    assert all_read.is_set(), "nobody has read while the others were running the model"
    assert max(most) == workers + more


@pytest.mark.parametrize("usual", [1, 2, 4, 16])
def test_the_semaphore_follows_the_load_of_the_cores(usual, monkeypatch):
    semaphore, times = concurrency.AdaptiveSemaphore(usual, 1), iter([])
    monkeypatch.setattr(concurrency, "_clocks", lambda: next(times))

    def runs(share):
        """Runs until something changes, at most 20."""
        nonlocal times
        times = iter([(0.0, 0.0), (1.0, share)] * 20)
        before = semaphore._limit
        for _ in range(20):
            with semaphore.hold():
                pass
            if semaphore._limit != before:
                break
        return semaphore._limit - usual

    alone = usual / (usual + 1)  # what each of one more has where no others are
    assert [runs(1.0), runs(0.3), runs(0.7 * alone), runs(alone)] == [0, 1, 1, 0]


def test_ctrl_c_leaves_no_thread(encoder, images):
    class Slow(Wrapped):
        def embed_tensor(self, tensor):
            time.sleep(0.2)
            return super().embed_tensor(tensor)

    results = extract(items_of(images("a" * 50)), Slow(encoder), workers=2)
    timer = threading.Timer(0.5, _thread.interrupt_main)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        list(results)
    timer.join()
    assert threads() == []


@pytest.mark.parametrize(
    "memory, of_worker, at_once",
    [
        pytest.param(ONE, MUCH, 1, id="one fits"),
        pytest.param(3 * ONE, MUCH, 3, id="three fit"),
        pytest.param(1, MUCH, 1, id="each is larger than all"),
        pytest.param(MUCH, 0, 4, id="as many as have room in twice the decoded bytes for each worker"),
    ],
)
def test_decoded_images_stay_within_the_memory(memory, of_worker, at_once, encoder, images, monkeypatch):
    monkeypatch.setattr(concurrency, "WORKER_BYTES", of_worker)
    lock, now, most = threading.Lock(), [0], [0]

    def counted(file, **limits):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.03)
        image = load_image(file, **limits)
        with lock:
            now[0] -= 1
        return image

    monkeypatch.setattr(image_reading, "load_image", counted)
    found = by_key(extract(items_of(images("a" * 20, size=(100, 100))), encoder, workers=6, memory=memory))
    assert len(found) == 20
    assert most[0] == at_once


def test_a_large_image_gets_its_turn_among_small_ones(encoder, images, tmp_path, monkeypatch):
    small, large, other = images("a", size=(100, 100))[0], tmp_path / "large.png", images("b", size=(100, 100))[0]
    Image.new("RGB", (800, 800)).save(large)
    begun, go_on = [], threading.Event()

    def waiting(file, **limits):
        begun.append(file.name)
        go_on.wait(20)
        return load_image(file, **limits)

    def items():
        for path in (small, large, other):
            yield Item(path.name, str(path))
            time.sleep(0.3)  # until the worker asks for the memory of this one
        assert begun == [str(small)]  # the large one waits for the first, the third one for the large one
        go_on.set()

    monkeypatch.setattr(image_reading, "load_image", waiting)
    assert len(by_key(extract(items(), encoder, workers=4, memory=4 * ONE))) == 3
    assert begun == [str(small), str(large), str(other)]


@pytest.mark.parametrize("options", [{"workers": 0}, {"batch_size": 0}])
def test_refuses_to_work_with_nobody(options, encoder):
    with pytest.raises(ValueError, match="at least 1"):
        next(extract([], encoder, **options))


@both_lines
def test_nothing_to_do(is_cpu, encoder):
    assert list(extract([], Wrapped(encoder, is_cpu=is_cpu))) == []
