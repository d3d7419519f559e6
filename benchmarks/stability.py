"""How many images stay in their groups when a dataset grows by a twentieth and is grouped again.

No database: the clusters of the larger set are matched to the groups of the smaller one as the plugin does it.

    python benchmarks/stability.py --images 8000 --seeds 2
"""

import argparse

import common
import engine_data
import numpy as np
from common import table

GROWTH = 1.05
WANTED = 0.99


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=8000, help="before it grows (8,000)")
    parser.add_argument("--seeds", type=int, default=2, help="how many sets of each setting (2)")
    arguments = parser.parse_args()
    print(f"Stability. {common.machine()}")
    rows = []
    for setting in engine_data.SETTINGS:
        kept = [kept_share(arguments.images, seed, setting) for seed in range(1, arguments.seeds + 1)]
        rows.append((setting, *(f"{share:.2%}" for share in np.mean(kept, axis=0)), f"{min(k[0] for k in kept):.2%}"))
    headers = ("setting", "in the same place", "out of a group", "into one from none", "into another", "worst set")
    table(f"{arguments.images:,} images and 5 % more, {arguments.seeds} sets, wanted {WANTED:.0%}", headers, rows)


def kept_share(n: int, seed: int, setting: str) -> tuple[float, float, float, float]:
    """Shares of the old images: as before, newly in none, newly in one, in another group."""
    from ccip_plugin.core.clustering.dispatch import run_method
    from ccip_plugin.core.identity.matching import match_clusters
    from ccip_plugin.core.identity.stability import apply_hysteresis
    from ccip_plugin.core.registry import DEFAULT_MODEL, get_spec

    vectors, _ = engine_data.characters(int(n * GROWTH), seed, engine_data.SETTINGS[setting])
    threshold = get_spec(DEFAULT_MODEL).threshold
    options = {"eps": threshold, "min_samples": 2, "threshold": threshold}
    first = run_method(vectors[:n], "linkage", **options)
    before, found = first.labels, run_method(vectors, "linkage", previous_limit=first.limit, **options)
    previous = np.concatenate([before, np.full(len(vectors) - n, -1)])
    after = apply_hysteresis(found.labels, previous, vectors, limit=found.limit, threshold=found.eps)
    group_of = match_clusters(after, previous, np.unique(before[before >= 0]))
    now = np.array([group_of.get(int(number), -2) if number >= 0 else -1 for number in after[:n]])
    lost, found = (before >= 0) & (now == -1), (before < 0) & (now != -1)
    moved = (before >= 0) & (now != -1) & (now != before)
    return float((now == before).mean()), float(lost.mean()), float(found.mean()), float(moved.mean())


if __name__ == "__main__":
    main()
