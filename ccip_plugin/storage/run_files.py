"""Long lists of texts of a run, in the file that FiftyOne keeps for its results: clones and exports take it along.

``dataset.load_run_results(key)`` has the texts as ``parts``. A few of them are read without the others.
"""

import contextlib
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from bson import ObjectId
from gridfs import GridFS

from ..core.errors import CCIPError
from .internals import database

_CLASS = "fiftyone.core.runs.RunResults"
_BEFORE = b', "parts": ["'
_BETWEEN = b'", "'
_AFTER = b'"]}'
_PIECE = 255 * 1024  # bytes that the database keeps together
_OWNER = "ccip_run"


class RunFileError(CCIPError):
    """The file of a run is missing or damaged."""


def write_texts(run_id: ObjectId, values: Mapping[str, Any], texts: Sequence[str]) -> ObjectId:
    """Writes a new file for a run, which does not have it before its document says so.

    Args:
        run_id: the id of the document of the run
        values: plain values
        texts: ASCII texts without quotation marks and backslashes, at least one

    Returns:
        the id of the file
    """
    file_id = ObjectId()
    head = json.dumps({"cls": _CLASS, **values, "lengths": list(map(len, texts))})
    with GridFS(database()).new_file(
        _id=file_id, content_type="application/json", metadata={_OWNER: run_id}, chunkSize=_PIECE
    ) as file:
        file.write(head[:-1].encode() + _BEFORE)
        for number, text in enumerate(texts):
            file.write((_BETWEEN if number else b"") + text.encode())
        file.write(_AFTER)
    return file_id


def delete_unused(run_id: ObjectId, used: Iterable[ObjectId | None]) -> None:
    """Deletes the files of a run that it does not use, and those of runs that were deleted.

    Args:
        run_id: the id of the document of the run
        used: the ids of the files to keep
    """
    found = database().fs.files.find({f"metadata.{_OWNER}": {"$exists": True}}, ["metadata"])
    files = {file["_id"]: file["metadata"][_OWNER] for file in found}
    runs = {run["_id"] for run in database().runs.find({"_id": {"$in": list({*files.values()})}}, ["_id"])}
    for file_id in files.keys() - set(used):
        if files[file_id] == run_id or files[file_id] not in runs:
            GridFS(database()).delete(file_id)


class TextFile:
    """A file that :func:`write_texts` has written, or a copy of it that FiftyOne has made.

    Args:
        file_id: the id of the file

    Raises:
        RunFileError: there is none, or it holds something else

    Attributes:
        values: the plain values in it, and the ``lengths`` of the texts
    """

    def __init__(self, file_id: ObjectId | None):
        self._file_id = file_id
        with self._reading():
            self._file = database().fs.files.find_one({"_id": file_id}, ["chunkSize", "length"]) or {}
            self._size = int(self._file["length"])
            head, stop = b"", 0
            while _BEFORE not in head and stop < self._size:
                start, stop = stop, min(stop + _PIECE, self._size)
                head += self._bytes(start, stop)
            head, found, _ = head.partition(_BEFORE)
            self._start = len(head) + len(found)
            self.values: dict[str, Any] = json.loads(head + b"}") if found else self._whole()
            self._lengths = [int(length) for length in self.values["lengths"]]

    def texts(self, numbers: Sequence[int]) -> Iterator[str]:
        """Some of the texts.

        Args:
            numbers: which ones, ascending

        Raises:
            RunFileError: they cannot be read
        """
        starts = [0, *itertools.accumulate(length + len(_BETWEEN) for length in self._lengths)]
        for _, pairs in itertools.groupby(enumerate(numbers), lambda pair: pair[1] - pair[0]):
            following = [number for _, number in pairs]
            start, stop = starts[following[0]], starts[following[-1] + 1] - len(_BETWEEN)
            with self._reading():
                texts = self._bytes(self._start + start, self._start + stop).decode().split(_BETWEEN.decode())
                if [len(text) for text in texts] != [self._lengths[number] for number in following]:
                    parts = self._whole()["parts"]  # as another program has written it
                    texts = [parts[number] for number in following]
            yield from texts

    def _whole(self) -> dict[str, Any]:
        values = json.loads(self._bytes(0, self._size))
        if not isinstance(values, dict) or len(values["parts"]) != len(values["lengths"]):
            raise ValueError("something else is in it")
        return values

    def _bytes(self, start: int, stop: int) -> bytes:
        """Some bytes of the file, fewer at its end. GridFS itself reads 16 MB to give a few."""
        size, stop = int(self._file["chunkSize"]), min(stop, self._size)
        if stop <= start:
            return b""
        first, last = start // size, (stop - 1) // size
        query = {"files_id": self._file_id, "n": {"$gte": first, "$lte": last}}
        data = b"".join(chunk["data"] for chunk in database().fs.chunks.find(query).sort("n"))
        if len(data) != min((last + 1) * size, self._size) - first * size:
            raise ValueError("some of it is missing")
        return data[start - first * size : stop - first * size]

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise RunFileError(f"the file {self._file_id} of a run is missing or damaged: {error}") from error
