"""The table at the end: every stage in words, whatever was reached."""

import dataclasses

import fiftyone as fo
import pytest

from ccip_plugin.brain.similarity import SimilarityReport
from ccip_plugin.brain.visualization import VisualizationReport
from ccip_plugin.cli.summary import N_EXAMPLES, Summary, app_command, counted, name_failures, render
from ccip_plugin.embeddings import compute_embeddings
from ccip_plugin.embeddings.report import EmbeddingsReport
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
        "Dataset: 絵",
        "",
        "Images",
        "  Image files found       1,012",
        "  Added                   1,002",
        "  Already in the dataset  10",
        "",
        "Embeddings",
        "  Embedded now      1,000",
        "  Already embedded  10",
        "  Failed            2",
        f"  Model             {MODEL}",
        "  Field             ccip_embedding",
        "  Time              8.0 s",
        "  Speed             125.0 images/s on CPU",
        "    /絵/1.png: empty",
        "    /絵/2\\n.png: no image",
        "  the reasons are in the field 'ccip_error': dataset.exists('ccip_error')",
        "",
        "Character groups",
        "  Character groups   37",
        "  In a group         940 of 1,012 images",
        "  Largest group      120",
        "  Unassigned         70",
        "  Without embedding  2",
        "  User labels kept   3",
        "  Labels written     1,007",
        "  Method             DBSCAN (tuned): eps 0.1292, min_samples 2",
        f"  Embeddings         ccip_embedding, {MODEL}",
        "  Field              character_group",
        "  warning: look here",
        "",
        "Similarity index",
        "  Index                                ccip_similarity (created)",
        "  Embeddings in the index              1,010",
        "  Without embedding, not in the index  2",
        "  Backend                              sklearn",
        "",
        "Visualization",
        "  Visualization                 ccip_visualization (computed)",
        "  Points                        1,010",
        "  Without embedding, not shown  2",
        "  Method                        pca",
        "  warning: umap needs a package",
        "",
        "Time",
        "  load   0.5 s",
        "  embed  8.0 s",
        "  group  1.0 s",
        "  total  9.5 s",
    ]


@pytest.mark.parametrize(
    "changes, expected",
    [
        pytest.param({"seconds": {}}, ["Dataset: 絵"], id="nothing yet"),
        pytest.param(
            {"seconds": {}, "coverage": Coverage(1000, 488, 0)},
            ["Dataset: 絵", "", "Embeddings", "  512 of 1,000 images are embedded"],
            id="stopped while embedding",
        ),
        pytest.param(
            {"problems": {"similarity": "no room", "visualization": "no umap"}},
            ["Dataset: 絵", "", "Similarity index", "  FAILED: no room", "", "Visualization", "  FAILED: no umap"],
            id="failed stages that the groups do not need",
        ),
        pytest.param(
            {"ingest": IngestReport(1, 1, 0, [(f"/{n}", "closed") for n in range(7)])},
            [
                "Dataset: 絵",
                "",
                "Images",
                "  Image files found          1",
                "  Added                      1",
                "  Skipped files and folders  7",
                *(f"    /{n}: closed" for n in range(N_EXAMPLES)),
                "    and 2 more",
            ],
            id="skipped files",
        ),
    ],
)
def test_shows_the_stages_that_were_reached(changes, expected):
    assert render(Summary("絵", **changes)).splitlines() == expected


def test_a_proposal_names_the_command_that_applies_it():
    proposed = dataclasses.replace(GROUPED, proposal_key="p")
    assert "the command 'apply' writes the labels" in render(dataclasses.replace(WHOLE, grouping=proposed))
    assert "apply" not in render(WHOLE)


def test_counts_the_failures_that_are_not_listed():
    report = dataclasses.replace(EMBEDDED, n_failed=9)
    text = render(Summary("絵", embeddings=report, failures=[("a", "b")] * N_EXAMPLES))
    assert f"    and {9 - N_EXAMPLES} more" in text.splitlines()


def test_speaks_of_detections():
    summary = Summary("絵", "faces", embeddings=EMBEDDED)
    text = render(summary)
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
