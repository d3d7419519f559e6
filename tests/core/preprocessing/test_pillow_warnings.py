"""Warnings of Pillow are counted and logged, not written between lines of progress."""

import contextlib
import logging
import threading
import warnings

import pytest

from ccip_plugin.core.errors import UnreadableImageError
from ccip_plugin.core.preprocessing import collected_warnings, load_image
from ccip_plugin.core.preprocessing.pillow_warnings import MAX_TEXTS, OTHERS
from tests.support.images import odd_images

EXIF = b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\xff" * 40


@pytest.fixture
def warning_file():
    """A file for which Pillow warns."""
    return odd_images.encode(odd_images.drawing(), "JPEG", exif=EXIF)


def warn_as_pillow(text):
    warnings.warn_explicit(text, UserWarning, f"{warnings_path()}/Image.py", 1, module="PIL.Image")


def warnings_path():
    import PIL

    return PIL.__path__[0]


def test_warnings_are_counted_and_logged(warning_file, caplog, capsys):
    caplog.set_level(logging.DEBUG, "ccip_plugin")
    with collected_warnings() as counter:
        for _ in range(3):
            warn_as_pillow("Corrupt EXIF data.\n  Expecting to read 4 bytes")
            load_image(warning_file)
    assert counter["Corrupt EXIF data. Expecting to read 4 bytes"] == 3
    assert "Pillow warned 3 times: Corrupt EXIF data. Expecting to read 4 bytes" in caplog.text
    assert capsys.readouterr().err == ""


def test_warnings_of_others_are_shown_as_before():
    with collected_warnings() as counter, pytest.warns(UserWarning, match="of ours"):
        warnings.warn("of ours", UserWarning, stacklevel=1)
    assert not counter


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["first in, first out", "first in, last out"])
def test_blocks_that_overlap_restore_the_settings_of_the_process(order):
    filters, show = list(warnings.filters), warnings.showwarning
    blocks = [collected_warnings(), collected_warnings()]
    counters = [block.__enter__() for block in blocks]
    warn_as_pillow("damaged")
    for index in order:
        blocks[index].__exit__(None, None, None)
    assert [counter.total() for counter in counters] == [1, 1]
    assert (list(warnings.filters), warnings.showwarning) == (filters, show)


def test_threads_warn_together():
    with collected_warnings() as counter:
        threads = [threading.Thread(target=lambda: [warn_as_pillow("x") for _ in range(50)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert counter["x"] == 200


def test_many_different_texts_take_no_memory():
    with collected_warnings() as counter:
        for number in range(MAX_TEXTS + 50):
            warn_as_pillow(f"tag {number}")
    assert len(counter) == MAX_TEXTS + 1 and counter[OTHERS] == 50


@pytest.mark.parametrize("compression", ["jpeg", "tiff_lzw", "tiff_adobe_deflate", "group4"])
def test_messages_of_libtiff_are_counted_and_not_written(compression, capfd):
    """Libtiff, which Pillow decodes with, writes to the terminal by itself."""
    drawing = odd_images.drawing().convert("1" if compression == "group4" else "RGB")
    content = odd_images.encode(drawing, "TIFF", compression=compression)
    damaged = [content[:at] + b"\xff" * 32 + content[at + 32 :] for at in range(8, len(content) - 40, 97)]
    with collected_warnings() as counter:
        for each in damaged:
            with contextlib.suppress(UnreadableImageError):
                load_image(each)
    assert [text for text in counter if text.startswith("libtiff: ")] != []
    assert capfd.readouterr().err == ""


def test_messages_of_libtiff_are_written_again_afterwards(capfd):
    content = odd_images.encode(odd_images.drawing(), "TIFF", compression="tiff_lzw")
    damaged = content[:8] + b"\xff" * 200 + content[208:]
    for _ in range(2):
        with collected_warnings() as counter, contextlib.suppress(UnreadableImageError):
            load_image(damaged)
        assert counter and capfd.readouterr().err == ""
        with contextlib.suppress(UnreadableImageError):
            load_image(damaged)
        assert capfd.readouterr().err != ""


def test_what_pillow_logs_is_counted_and_not_written(caplog):
    log = logging.getLogger("PIL.TiffImagePlugin")
    with collected_warnings() as counter:
        log.error("More samples per pixel than can be decoded: %s", 8)
        log.debug("tag")
    assert counter == {"More samples per pixel than can be decoded: 8": 1}
    assert [record.name for record in caplog.records if record.name.startswith("PIL")] == []
    log.error("of others")
    assert "of others" in caplog.text and logging.getLogger("PIL").handlers == []
