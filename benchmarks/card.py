"""The table of the model card, computed on the published evaluation data; or on any archive of the same kind.

Embeddings are computed with each model, into the user's own FiftyOne database, so that it can be stopped and goes on.

    python benchmarks/card.py images_test_v1.tar.xz --models ccip-caformer-24-randaug-pruned --out card
"""

import argparse
import sys
from pathlib import Path

import common


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", help="a tar archive of <character index>/<image id>.jpg")
    parser.add_argument("--models", nargs="+", help="names of models; all that are published by default")
    parser.add_argument("--folder", type=Path, help="where the images go; beside the archive by default")
    parser.add_argument("--out", type=Path, help="a folder for JSON, CSV and plots")
    parser.add_argument("--provider", default="auto", help="the execution provider (auto)")
    arguments = parser.parse_args()
    from ccip_plugin.character_similarity import TRUTH_FIELD, load_character_similarity
    from ccip_plugin.core.errors import CCIPError
    from ccip_plugin.core.registry import MODELS
    from ccip_plugin.evaluation import evaluate_model

    models = arguments.models or [name for name, spec in MODELS.items() if not spec.is_stand_in]
    print(common.machine())
    try:
        dataset = load_character_similarity(arguments.archive, folder=arguments.folder)
        found = evaluate_model(dataset, TRUTH_FIELD, models=models, provider=arguments.provider)
    except CCIPError as error:
        sys.exit(f"error: {error}")
    print(found)
    if arguments.out is not None:
        arguments.out.mkdir(parents=True, exist_ok=True)
        paths = [found.to_json(arguments.out / "card.json"), found.to_csv(arguments.out / "card.csv")]
        for path in (*paths, *found.save_plots(arguments.out)):
            print(path)


if __name__ == "__main__":
    main()
