"""Runs operators as the App does, and reads their forms and summaries."""

import json

import fiftyone as fo
import fiftyone.operators as foo
from fiftyone.operators.executor import ExecutionContext, Executor
from fiftyone.operators.server import create_response_generator


def uri(name):
    """The URI of an operator of the plugin."""
    return f"@ccip/characters/{name}"


def context(samples, *, selected=(), selected_labels=(), current_sample=None, **params):
    """What the App sends."""
    is_dataset = isinstance(samples, fo.Dataset)
    return ExecutionContext(
        {
            "dataset_name": samples._root_dataset.name if not is_dataset else samples.name,
            "view": [] if is_dataset else samples._serialize(),
            "selected": list(selected),
            "selected_labels": list(selected_labels),
            "current_sample": current_sample,
            "params": params,
        },
        executor=Executor(),
    )


def form(uri, samples, **options):
    """The form of an operator, by the names of its inputs."""
    resolved = foo.get_operator(uri).resolve_type(context(samples, **options), "inputs").to_json()
    return resolved["type"]["properties"]


def said(inputs, name):
    """What a part of a form says, None when it is not there."""
    return inputs[name]["view"]["label"] if name in inputs else None


def problems(inputs):
    """What is wrong with a form."""
    return {name: each["error_message"] for name, each in inputs.items() if each["invalid"]}


def choices(inputs, name):
    """What can be chosen, with the words for it."""
    return {choice["value"]: choice["label"] for choice in inputs[name]["view"]["choices"]}


def run(uri, samples, **params):
    """Runs an operator as the server does for the App; gives the last of each kind of message."""
    ctx = context(samples, **params)
    messages = foo.get_operator(uri).execute(ctx)
    lines = [json.loads(line) for line in create_response_generator(messages)]
    shown = {line["body"]["operator_uri"]: line["body"]["params"] for line in lines}
    samples._root_dataset.reload() if isinstance(samples, fo.DatasetView) else samples.reload()
    return shown


def facts(results):
    """The table of a summary."""
    return {row["fact"]: row["value"] for row in results["facts"]}
