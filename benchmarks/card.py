"""The table of the model card, computed on the published evaluation data; or on any archive of the same kind.

Images and models are downloaded where they are not here. Embeddings are computed with each model, into a dataset of the
user's own FiftyOne, so that an interrupted run resumes.

    python benchmarks/card.py
    python benchmarks/card.py images_xtiny_v0 --models ccip-caformer-24-randaug-pruned --out card
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import common

from ccip_plugin.core.tuning.model_card import COLUMNS, CardRow


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "images", nargs="?", default="images_test_v1", help="a subset, or a tar archive (images_test_v1, as the card)"
    )
    parser.add_argument("--models", nargs="+", help="names of models; all that are published by default")
    parser.add_argument("--folder", type=Path, help="where the images go; with FiftyOne's zoo datasets by default")
    parser.add_argument("--dataset", help="the name of the dataset; character_similarity_<subset> by default")
    parser.add_argument("--out", type=Path, help="a folder for JSON, CSV and plots")
    parser.add_argument("--provider", default="auto", help="the execution provider (auto)")
    arguments = parser.parse_args()
    from ccip_plugin.core.errors import CCIPError
    from ccip_plugin.core.registry import MODELS
    from ccip_plugin.evaluation import evaluate_model
    from ccip_plugin.io.character_similarity import TRUTH_FIELD, load_character_similarity
    from ccip_plugin.reports.terminal import progress_display

    models = arguments.models or [name for name, spec in MODELS.items() if not spec.is_stand_in]
    print(common.machine(), flush=True)
    progress = progress_display(sys.stderr)
    where = {"folder": arguments.folder, "name": arguments.dataset, "progress": progress}
    try:
        dataset = load_character_similarity(arguments.images, **where)
        found = evaluate_model(dataset, TRUTH_FIELD, models=models, provider=arguments.provider, progress=progress)
    except CCIPError as error:
        progress.close()
        sys.exit(f"error: {error}")
    progress.close()
    print(found)
    as_published(found.rows)
    if arguments.out is not None:
        arguments.out.mkdir(parents=True, exist_ok=True)
        paths = [found.to_json(arguments.out / "card.json"), found.to_csv(arguments.out / "card.csv")]
        for path in (*paths, *found.save_plots(arguments.out)):
            print(path)


def as_published(rows: Sequence[CardRow]) -> None:
    """The table as the card has it: pairs are counted over the full matrix, where each image also meets itself."""
    lines = []
    for row in rows:
        here = {**row.scores, **row.with_selves}
        lines.append([row.model_name, "here", *(_short(here[name]) for name in COLUMNS)])
        lines.append(["", "published", *(_short(row.published[name]) for name in COLUMNS)])
    sizes = {f"{row.n_images:,} images of {row.n_characters:,} characters" for row in rows}
    common.table(f"The model card, counted as published: {', '.join(sorted(sizes))}", ("model", "", *COLUMNS), lines)


def _short(value: float | None) -> str:
    return "" if value is None or value != value else f"{value:.4f}"


if __name__ == "__main__":
    main()
