"""Whether evaluation is as fast, as exact and as good as it is meant to be, on simulated embeddings.

python benchmarks/evaluation.py pairs --images 20000
python benchmarks/evaluation.py card tuning questions
"""

import argparse
import time
from collections.abc import Callable

import common
import numpy as np
import simulation

WHAT = ("naive", "pairs", "card", "tuning", "questions")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", choices=[*WHAT, []], help="the parts, all by default")
    parser.add_argument("--images", type=int, default=20_000, help="for pairs (20,000)")
    arguments = parser.parse_args()
    print(f"Evaluation. {common.machine()}")
    parts: dict[str, Callable[[], None]] = {
        "naive": naive,
        "pairs": lambda: pairs(arguments.images),
        "card": card,
        "tuning": tuning,
        "questions": questions,
    }
    for name in arguments.what or WHAT:
        parts[name]()
    print(f"\nAt the end: {common.machine()}")


def naive(n: int = 1000) -> None:
    """Against scikit-learn on the full matrix."""
    from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

    from ccip_plugin.core.differences import differences
    from ccip_plugin.core.evaluation import pair_metrics

    vectors, labels = simulation.simulate(n)
    found = pair_metrics(vectors, labels)
    upper = np.triu_indices(n, 1)
    apart, is_same = differences(vectors)[upper].astype(float), (labels[:, None] == labels)[upper]
    best = max(f1_score(is_same, apart <= t) for t in np.linspace(found.threshold - 0.02, found.threshold + 0.02, 201))
    rows = [
        ("F1", found.f1, best, 0.0),
        ("ROC AUC", found.roc_auc, roc_auc_score(is_same, -apart), found.roc_auc_error),
        (
            "average precision",
            found.average_precision,
            average_precision_score(is_same, -apart),
            found.average_precision_error,
        ),
    ]
    common.table(f"Pairs of {n:,} images against scikit-learn", ("", "ours", "naive", "stated bound"), rows)


def pairs(n: int) -> None:
    """Time and memory of all pairs, with intervals."""
    from ccip_plugin.core.differences import normalize
    from ccip_plugin.core.evaluation import pair_metrics

    vectors, labels = simulation.simulate(n)
    vectors = normalize(vectors)
    before = common.peak_mib()
    timing = common.timed(lambda: pair_metrics(vectors, labels, by_character=True))
    row = (f"{n:,}", f"{timing.seconds:.1f}", f"{common.peak_mib() - before:.0f}", f"{timing.result.f1:.4f}")
    common.table("All pairs (wanted for 20,000: < 60 s, < 1,000 MiB)", ("images", "s", "MiB more", "F1"), [row])


def card(n: int = 500) -> None:
    """A whole row."""
    from ccip_plugin.core.card import card_row

    vectors, labels = simulation.simulate(n)
    timing = common.timed(lambda: card_row(vectors, labels))
    scores = ", ".join(f"{name} {timing.result.scores[name]:.3f}" for name in ("f1", "cluster_2", "cluster_free"))
    print(f"\nA row of the card for {n} images: {timing.seconds:.1f} s (wanted < 120); {scores}")


def tuning(n: int = 500) -> None:
    """Against 200 settings at random."""
    from ccip_plugin.core.clustering import dbscan_of_embeddings, optics
    from ccip_plugin.core.tuning import merges, rand_index, tune_dbscan_2, tune_optics

    rows = []
    for seed in range(3):
        vectors, labels = simulation.simulate(n, seed)
        labels = np.unique(labels, return_inverse=True)[1]
        random = np.random.default_rng(seed)
        tried = {
            "DBSCAN": [dbscan_of_embeddings(vectors, eps=eps, min_samples=2) for eps in random.uniform(0, 0.5, 200)],
            "OPTICS": [
                optics(vectors, eps=random.uniform(0, 0.5), min_samples=int(random.integers(2, 6))) for _ in range(60)
            ],
        }
        ours = {
            "DBSCAN": tune_dbscan_2(merges(vectors, 1.0), labels).score,
            "OPTICS": tune_optics(vectors, labels).score,
        }
        for name, found in tried.items():
            best = max(rand_index(each, labels) for each in found)
            rows.append((f"{name}, seed {seed}", f"{ours[name]:.4f}", f"{best:.4f}", len(found)))
    common.table("Tuned, and the best at random (wanted: at least that - 0.005)", ("", "ours", "random", "tries"), rows)


def questions(n: int = 2000, n_seeds: int = 10) -> None:
    """A simulated reviewer: F1 lost by the fitted threshold, after chosen and after random pairs."""
    from ccip_plugin.core.evaluation import pair_metrics
    from ccip_plugin.core.questions import Answer, PairPool, choose_pairs, fit

    lost: dict[str, list[float]] = {}
    started = time.perf_counter()
    for prior in (0.178, 0.28):
        for seed in range(n_seeds):
            vectors, labels = simulation.simulate(n, seed)
            metrics, pool = pair_metrics(vectors, labels), PairPool(vectors, prior, seed=seed)
            answers: list[Answer] = []
            while len(answers) < 100:
                chosen = choose_pairs(pool, vectors, answers, seed=seed)
                answers += [Answer(a, b, bool(labels[a] == labels[b])) for a, b in chosen]
            random = np.random.default_rng(seed)
            drawn = [random.choice(n, 2, replace=False).tolist() for _ in range(400)]
            others = [Answer(a, b, bool(labels[a] == labels[b])) for a, b in drawn]
            for words, said in (("100 chosen", answers), ("200 random", others[:200]), ("400 random", others)):
                at = metrics.at(fit(pool, vectors, said).threshold).f1
                lost.setdefault(f"{words}, published {prior}", []).append(metrics.f1 - at)
    rows = [(name, f"{np.mean(each):.4f}", f"{max(each):.4f}") for name, each in lost.items()]
    title = f"F1 lost, {n_seeds} seeds, {time.perf_counter() - started:.0f} s (wanted for 100 chosen: mean <= 0.01)"
    common.table(title, ("", "mean", "worst"), rows)


if __name__ == "__main__":
    main()
