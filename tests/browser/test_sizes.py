"""Screens with no group, with one, and with 2,000: what they say, and that nothing of them breaks.

``CCIP_SCREENSHOTS=folder`` keeps a screenshot of every screen.
"""

import os
import re

import numpy as np
import pytest

from ccip_plugin.grouping import group_characters
from ccip_plugin.storage.fields import EMBEDDINGS_FIELD
from tests.support.groups import embed

pytestmark = [pytest.mark.mongo, pytest.mark.browser, pytest.mark.slow]

SIZES = {"none": [1] * 6, "one": [4], "many": [2] * 2000}


@pytest.fixture(params=SIZES)
def gallery(request, dataset, images, tmp_path):
    """A persistent dataset of as many characters as a name says, all of one file, with embeddings and names."""
    who = np.repeat(np.arange(len(SIZES[request.param])), SIZES[request.param])
    data = dataset(*images("a") * len(who), name=f"{request.param}-{os.getpid()}-{tmp_path.name}", persistent=True)
    embed(data, "a" * len(who))
    directions = np.random.default_rng(0).normal(size=(len(SIZES[request.param]), 768))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    data.set_values(EMBEDDINGS_FIELD, list(directions[who]))
    data.set_values("who", [f"登場人物 {number}" for number in who])
    return data


def test_however_many_groups_there_are(app, gallery, request):
    size = request.node.callspec.params["gallery"]
    n_groups = {"none": 0, "one": 1, "many": 2000}[size]
    with app.shot_on_failure(f"sizes-{size}"):
        app.open(gallery.name)
        groups(app, gallery, size, n_groups)
        if n_groups:
            first = gallery.first()
            first.character_group.label = "惣流・アスカ・ラングレー"
            first.save()
            group_characters(gallery)
            app.reload()
        evaluates(app, size)


def groups(app, gallery, size, n_groups):
    app.operator("CCIP: group by character")
    app.says(f"{len(gallery):,} images, all embedded with")
    app.execute()
    row = app.dialog.get_by_role("row", name=re.compile("^Character groups"))
    row.get_by_text(f"{n_groups:,}", exact=True).wait_for()
    assert app.dialog.get_by_text("similar enough to make a group").count() == (n_groups == 0)
    assert app.dialog.get_by_text("Group size distribution").count() == (n_groups > 0)
    app.shot(f"sizes-{size}-groups")
    app.close_dialog()
    gallery.reload()
    assert len(set(gallery.distinct("character_group.label")) - {"unassigned"}) == n_groups


def evaluates(app, size):
    app.operator("CCIP: evaluate character groups")
    app.shot(f"sizes-{size}-evaluate-form")
    app.prompt.get_by_role("button", name="Evaluate", exact=True).click()
    app.dialog.get_by_role("row", name=re.compile("Clicks to clean")).wait_for()
    app.dialog.get_by_role("row", name=re.compile("登場人物")).first.wait_for()
    app.shot(f"sizes-{size}-evaluated")
    app.close_dialog()
