"""The table at the end: every stage in words, whatever was reached."""

import dataclasses

import fiftyone as fo
import pytest

from ccip_plugin.brain.similarity import SimilarityReport
from ccip_plugin.brain.visualization import VisualizationReport
from ccip_plugin.cli.summary import N_EXAMPLES, Summary, app_command, counted, name_failures, render
from ccip_plugin.core.neighbors.quality import Quality
from ccip_plugin.embeddings import compute_embeddings
from ccip_plugin.embeddings.compute import EmbeddingsReport
from ccip_plugin.embeddings.store import Coverage
from ccip_plugin.grouping.parameters import GroupingParameters
from ccip_plugin.grouping.report import GroupingReport
from ccip_plugin.io.images import IngestReport

pytestmark = pytest.mark.mongo

MODEL = "ccip-caformer-24-randaug-pruned"
EMBEDDED = EmbeddingsReport(
    n_total=1012,
    n_computed=1000,
    n_skipped=10,
    n_failed=2,
    n_gone=0,
    failures={"a": "empty", "b": "no image"},
    model_name=MODEL,
    provider="CPUExecutionProvider",
    embeddings_field="ccip_embedding",
    seconds=8.0,
    images_per_second=125.04,
)
GROUPED = GroupingReport(
    run_key="ccip_groups",
    group_field="character_group",
    parameters=GroupingParameters("dbscan_2", 0.129210, 2, MODEL),
    n_items=1012,
    n_groups=37,
    n_grouped=940,
    n_unassigned=70,
    n_without_embedding=2,
    n_ignored=0,
    n_human=3,
    n_written=1007,
    n_left=0,
    sizes={2: 10, 120: 1},
    warnings=("look here",),
)
WHOLE = Summary(
    dataset="絵",
    ingest=IngestReport(1012, 1002, 10),
    embeddings=EMBEDDED,
    failures=[("/絵/1.png", "empty"), ("/絵/2\n.png", "no image")],
    grouping=GROUPED,
    similarity=SimilarityReport("ccip_similarity", "sklearn", 1010, 2, True),
    visualization=VisualizationReport("ccip_visualization", "pca", 1010, 2, True, "umap needs a package"),
    seconds={"load": 0.5, "embed": 8.04, "group": 1.0},
)


def test_shows_everything():
    assert render(WHOLE).splitlines() == [
        "dataset        絵",
        "images         1,012 found, 1,002 of them new",
        "embeddings     1,000 images embedded now, 10 before",
        f"               {MODEL}",
        "               125.0 images/s on CPUExecutionProvider",
        "failures       2",
        "               /絵/1.png: empty",
        "               /絵/2\\n.png: no image",
        "               the reason of each is in the field 'ccip_error'; dataset.exists('ccip_error') has them all",
        "groups         37 with 940 images, the largest has 120",
        "               dbscan_2, eps 0.1292, min_samples 2",
        "unassigned     70",
        "labels         1,007 written to 'character_group', 3 decided by people and kept",
        "warning        look here",
        "similarity     1,010 images in 'ccip_similarity', lacks 2",
        "visualization  1,010 images in 'ccip_visualization', by pca (umap needs a package)",
        "seconds        9.5: load 0.5, embed 8.0, group 1.0",
    ]


@pytest.mark.parametrize(
    "changes, expected",
    [
        pytest.param(
            {"proposal_key": "p", "n_written": 0, "changes": {"unchanged": 1000, "moved": 3, "new": 0}},
            "none written to 'character_group', proposed: 1,000 unchanged, 3 moved; the command apply writes it",
            id="proposed",
        ),
        pytest.param({"proposal_key": "p", "changes": {}}, "proposed: nothing; the", id="nothing proposed"),
        pytest.param(
            {"quality": Quality(512, 0.998, 0.9, 0.25, 128)},
            "approximate graph: 99.80% of the 128 nearest neighbors found, measured on 512 images, 25.0% of the images "
            "have more",
            id="approximate",
        ),
        pytest.param(
            {"parameters": dataclasses.replace(GROUPED.parameters, source="calibrated")},
            "min_samples 2, calibrated",
            id="calibrated",
        ),
    ],
)
def test_says_how_it_was_grouped(changes, expected):
    assert expected in render(dataclasses.replace(WHOLE, grouping=dataclasses.replace(GROUPED, **changes)))


@pytest.mark.parametrize(
    "changes, expected",
    [
        pytest.param({"seconds": {}}, ["dataset  絵"], id="nothing yet"),
        pytest.param(
            {"seconds": {}, "coverage": Coverage(1000, 488, 0)},
            ["dataset     絵", "embeddings  512 of 1,000 images"],
            id="stopped while embedding",
        ),
        pytest.param(
            {"seconds": {"similarity": 0.1}, "problems": {"similarity": "no room", "visualization": "no umap"}},
            [
                "dataset        絵",
                "similarity     FAILED: no room",
                "visualization  FAILED: no umap",
                "seconds        0.1: similarity 0.1",
            ],
            id="failed where the groups do not need it",
        ),
        pytest.param(
            {"seconds": {}, "ingest": IngestReport(1, 1, 0, [(f"/{n}", "closed") for n in range(7)])},
            [
                "dataset  絵",
                "images   1 found, 1 of them new",
                "skipped  7 files and folders",
                *(f"         /{n}: closed" for n in range(N_EXAMPLES)),
                "         and 2 more",
            ],
            id="skipped files",
        ),
    ],
)
def test_shows_what_there_is(changes, expected):
    assert render(Summary("絵", **changes)).splitlines() == expected


@pytest.mark.parametrize(
    "changes, line",
    [
        pytest.param(
            {"n_computed": 0, "provider": None}, "nothing left to do, so no model was loaded", id="done before"
        ),
        pytest.param({"n_computed": 0}, "only the failures were tried again, on CPUExecutionProvider", id="failures"),
        pytest.param(
            {"model_name": "ccip-demo"}, "ccip-demo (a stand-in that knows only the demo drawings)", id="demo"
        ),
        pytest.param({"n_gone": 3}, "deleted     3 while this was running", id="deleted meanwhile"),
        pytest.param({"n_failed": 9}, "and 7 more", id="more failures"),
    ],
)
def test_says_what_is_special_about_the_embeddings(changes, line):
    summary = Summary("絵", embeddings=dataclasses.replace(EMBEDDED, **changes), failures=[("a", "b")] * N_EXAMPLES)
    if "n_failed" in changes:
        line = f"and {changes['n_failed'] - N_EXAMPLES} more"
    assert line in [text.strip() for text in render(summary).splitlines()]


def test_speaks_of_detections():
    summary = Summary("絵", "faces", embeddings=EMBEDDED)
    text = render(summary)
    assert "1,000 detections in 'faces' embedded now" in text
    assert "dataset.filter_labels('faces', F('ccip_error') != None)" in text


def test_the_app_command_can_be_pasted():
    assert app_command("fan art's") == "fiftyone app launch 'fan art'\"'\"'s'"


class TestFailures:
    @pytest.fixture
    def broken(self, dataset, images, tmp_path):
        paths = [tmp_path / f"壊れた {n}.png" for n in range(7)]
        for path in paths:
            path.write_bytes(b"nothing")
        return dataset(*images("a"), *paths)

    def test_are_named_by_their_files(self, broken, model_dir):
        report = compute_embeddings(broken, model_dir=model_dir)
        found = name_failures(broken, report)
        assert len(found) == N_EXAMPLES
        assert {path for path, _ in found} <= set(broken.values("filepath"))
        assert all("not an image" in reason for _, reason in found)

    def test_of_detections_are_named_by_both(self, broken, model_dir):
        for sample in broken.limit(2):
            sample["faces"] = fo.Detections(detections=[fo.Detection(label="face", bounding_box=[0, 0, 1, 1])])
            sample.save()
        report = compute_embeddings(broken, patches_field="faces", model_dir=model_dir)
        ((name, reason),) = name_failures(broken, report, "faces")
        path, label_id = broken.values("filepath")[1], broken.values("faces.detections.id", unwind=True)[1]
        assert name == f"{path} (detection {label_id})"
        assert "not an image" in reason

    def test_none_are_none(self, dataset, images, model_dir):
        data = dataset(*images("a"))
        assert name_failures(data, compute_embeddings(data, model_dir=model_dir)) == []


def test_counts_what_is_there(dataset, images, model_dir):
    data = dataset(*images("ab"))
    compute_embeddings(data.limit(1), model_dir=model_dir)
    assert counted(Summary(data.name)).coverage == Coverage(2, 1, 0)
    assert counted(Summary("ccip nowhere")).coverage is None
