"""Tries every operator and every command where something is broken; what a person is told is collected."""

import argparse
import contextlib
import io
import json
import re
import sys
import traceback
from dataclasses import dataclass

import fiftyone as fo
import fiftyone.operators as foo
from fiftyone.operators.server import create_response_generator

from ccip_plugin.__main__ import main
from ccip_plugin.cli.parsers import COMMANDS
from ccip_plugin.core.errors import CCIPError
from ccip_plugin.grouping import group_characters, propose_groups
from ccip_plugin.labels.history import undo
from tests.support.app.operator_tools import context
from tests.support.groups import embed

DONE = "done"
LETTERS = "aabbbc"


_RAISED = re.compile(r"([\w.@-]+)\.(\w+)(?:: |$)")  # the last line of a traceback


@dataclass(frozen=True)
class Told:
    """What a person was told.

    Attributes:
        what: the form, operator or command, with its answers
        text: the sentence, :data:`DONE` without one
        raw: the traceback of an error of another library, empty without one
    """

    what: str
    text: str = DONE
    raw: str = ""


def fill(data, letters=LETTERS):
    """Gives a dataset what operators work on: embeddings, names, groups, a change to undo and one to redo, a proposal.

    Args:
        data: a dataset with an image per letter
        letters: the characters
    """
    embed(data, letters)
    data.set_values("who", list(letters))
    group_characters(data)
    group_characters(data, eps=0.2)
    undo(data)
    propose_groups(data, method="dbscan")
    return data


def fill_detections(data, letters=LETTERS):
    """As :func:`fill`, for a detection in each image, in the field ``faces``.

    Args:
        data: a dataset with an image per letter
        letters: the characters
    """
    for sample in data.iter_samples(autosave=True):
        sample["faces"] = fo.Detections(detections=[fo.Detection(label="face", bounding_box=[0, 0, 1, 1])])
    embed(data, letters, patches_field="faces")
    ids = data.values("faces.detections.id", unwind=True)
    data.set_label_values("faces.detections.who", dict(zip(ids, letters, strict=True)), dynamic=True)
    group_characters(data, patches_field="faces")
    group_characters(data, patches_field="faces", eps=0.2)
    undo(data, patches_field="faces")
    propose_groups(data, patches_field="faces", method="dbscan")
    return data


def uris():
    """Every operator of the plugin that has a form."""
    operators = (each for each in foo.list_operators() if each.uri.startswith("@ccip/"))
    return sorted(each.uri for each in operators if not isinstance(each, foo.Panel) and not each.config.unlisted)


def answers(uri, data):
    """The answers to try: those that the form begins with, and each of its choices in turn."""
    inputs = foo.get_operator(uri).resolve_type(_opened(data), "inputs").to_json()["type"]["properties"]
    begins = {name: each["default"] for name, each in inputs.items() if each["default"] is not None}
    turns = [
        {**begins, name: choice["value"]}
        for name, each in inputs.items()
        if each["type"]["name"] == "Enum"
        for choice in each["view"]["choices"]
        if choice["value"] != begins.get(name)
    ]
    return [begins, *turns]


def _opened(data, selected=None, **params):
    return context(data, selected=data.values("id")[:2] if selected is None else selected, **params)


def told_by_form(uri, data, selected, **params):
    """What the form of an operator says when it is opened."""
    try:
        json.dumps(foo.get_operator(uri).resolve_type(_opened(data, selected, **params), "inputs").to_json())
    except Exception:
        return Told(f"form of {uri} {params}", "raised", traceback.format_exc())
    return Told(f"form of {uri} {params}")


def told_by_operator(uri, data, selected, **params):
    """What an operator says when the App runs it."""
    what = f"{uri} {params}"
    try:
        messages = foo.get_operator(uri).execute(_opened(data, selected, **params))
        if isinstance(messages, dict):
            return Told(what)
        lines = [json.loads(line)["body"] for line in create_response_generator(messages)]
    except CCIPError as error:
        return Told(what, str(error))
    except Exception as error:
        return Told(what, str(error), "" if _is_ours(type(error)) else traceback.format_exc())
    results = next(line["params"]["results"] for line in lines if line["operator_uri"] == "show_output")
    if "errors" not in results:
        return Told(what)
    (error,) = results["errors"]
    raised = [found for line in error["details"].splitlines() if (found := _RAISED.match(line))]
    module, name = raised[-1].groups()  # the reason may be put in other words for the App
    is_ours = module in sys.modules and _is_ours(getattr(sys.modules[module], name))
    return Told(what, error["reason"], "" if is_ours else error["details"])


def _is_ours(cls):
    """Whether a class is an error of the package, which FiftyOne imports under another name."""
    return any(base.__name__ == CCIPError.__name__ for base in cls.__mro__)


def command_lines(values):
    """Every command with what it needs, and each command inside of it.

    Args:
        values: by name of the argument, what is given for those that are required
    """
    for name, command in COMMANDS.items():
        parser = argparse.ArgumentParser()
        command.add_options(parser)
        yield from _lines(parser, [name], values)


def _lines(parser, words, values):
    inner = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    taken = [action for action in parser._actions if action.required or action.dest in values]
    words = [*words, *(word for action in taken if action not in inner for word in _words(action, values))]
    if not any(action.required for action in inner):
        yield words
    for action in inner:
        for name, subparser in action.choices.items():
            yield from _lines(subparser, [*words, name], values)


def _words(action, values):
    value = values[action.dest]  # a KeyError: a command needs what no test gives yet
    return [*action.option_strings[-1:], str(value)]


def told_by_command(words):
    """What a command prints when it fails."""
    out, err = _Stream(), _Stream()
    what = f"ccip {' '.join(words)}"
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main(words)
    except SystemExit as error:
        return Told(what, err.getvalue(), f"wrong usage: {err.getvalue()}" if error.code else "")
    except Exception:
        return Told(what, "raised", traceback.format_exc())
    printed = err.getvalue()
    return Told(what, printed.partition("error: ")[2].strip() or DONE, printed if "Traceback" in printed else "")


class _Stream(io.StringIO):
    def reconfigure(self, **options):
        """As that of a terminal."""
