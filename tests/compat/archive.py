"""A database and a folder of files as one small file: the raw documents of every collection, and where files lead.

Knows MongoDB only, so that a copy can be restored before FiftyOne connects to its database.
"""

import gzip
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import bson
from pymongo import IndexModel, MongoClient
from pymongo.database import Database


def save(path: Path, database: Database, folder: Path, places: Mapping[str, Path]) -> None:
    """Writes every collection of a database, and every file of a folder, into one file.

    Args:
        path: the file
        database: what to copy
        folder: the files; links are copied as links
        places: folders of this machine that documents, files and links may name, each by a word that stands for it
    """
    words = {str(place): f"@{word}@" for word, place in places.items()}
    names = sorted(name for name in database.list_collection_names() if not name.startswith("system."))
    content = {
        "collections": {name: _collection(database[name], words) for name in names},
        "files": {name: _file(folder / name, words) for name in _names(folder)},
    }
    path.write_bytes(gzip.compress(bson.encode(content), mtime=0))


def restore(path: Path, database: Database, folder: Path, places: Mapping[str, Path]) -> None:
    """Brings back what :func:`save` wrote, into an empty database and an empty folder.

    Args:
        path: the file
        database: where the documents go
        folder: where the files go, with the times that they had
        places: what the words stand for on this machine
    """
    words = {f"@{word}@": str(place) for word, place in places.items()}
    content = bson.decode(gzip.decompress(path.read_bytes()))
    for name, found in content["collections"].items():
        collection = database.create_collection(name)
        if found["documents"]:
            collection.insert_many(_replaced(found["documents"], words))
        if found["indexes"]:
            collection.create_indexes([IndexModel(index.pop("key").items(), **index) for index in found["indexes"]])
    for name, found in content["files"].items():
        _restore_file(folder / name, found, words)


def _collection(collection: Any, words: Mapping[str, str]) -> dict[str, Any]:
    unwanted = ("v", "ns")
    indexes = [index for index in collection.list_indexes() if index["name"] != "_id_"]
    return {
        "documents": [_replaced(document, words) for document in collection.find()],
        "indexes": [{key: value for key, value in index.items() if key not in unwanted} for index in indexes],
    }


def _names(folder: Path) -> list[str]:
    """The files and links of a folder; links are not followed, and what Python compiled is left out."""
    found: list[str] = []
    for place, folders, files in os.walk(folder):
        if Path(place).name == "__pycache__":
            continue
        links = [name for name in folders if (Path(place) / name).is_symlink()]
        found += [(Path(place) / name).relative_to(folder).as_posix() for name in (*files, *links)]
    return sorted(found)


def _file(path: Path, words: Mapping[str, str]) -> dict[str, Any]:
    if path.is_symlink():
        return {"link": _replaced(str(path.readlink()), words)}
    return {"content": _replaced(path.read_bytes(), words), "mtime_ns": path.stat().st_mtime_ns}


def _restore_file(path: Path, found: Mapping[str, Any], words: Mapping[str, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if "link" in found:
        path.symlink_to(_replaced(found["link"], words))
        return
    path.write_bytes(_replaced(found["content"], words))
    os.utime(path, ns=(found["mtime_ns"], found["mtime_ns"]))


def _replaced(value: Any, words: Mapping[str, str]) -> Any:
    """The same value with one text in place of another, however deep."""
    if isinstance(value, dict):
        return {key: _replaced(each, words) for key, each in value.items()}
    if isinstance(value, list):
        return [_replaced(each, words) for each in value]
    for old, new in words.items():
        if isinstance(value, str):
            value = value.replace(old, new)
        elif isinstance(value, bytes):
            value = value.replace(old.encode(), new.encode())
    return value


def connect(uri: str, name: str) -> Database:
    """A database on a server."""
    return MongoClient(uri)[name]
