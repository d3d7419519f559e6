"""Grouped datasets, and the panel's way to the server."""

import json

import pytest

from tests.review.tabs import Tab


@pytest.fixture
def call():
    """``call(data, "groups", sort="size")`` gives what the panel gets, as it comes through the route."""
    import fiftyone.operators as foo

    from tests.support.app.operator_tools import context, uri

    def call(data, method, token=None, **args):
        result = foo.get_operator(uri("review")).execute(context(data, method=method, args=args, token=token))
        return json.loads(json.dumps(result, allow_nan=False))

    return call


@pytest.fixture
def panel(call):
    """``panel(data, tab="one")`` gives a tab: its methods read and write as the panel does."""
    return lambda data, tab="one", **common: Tab(call, data, tab, **common)


@pytest.fixture
def made(grouped):
    """``made("aab")`` gives a dataset with an embedding per letter, grouped by character."""
    from ccip_plugin.grouping import group_characters

    def make(letters, **options):
        new = grouped(letters, **options)
        group_characters(new)
        return new

    return make
