"""How many answers a simulated reviewer needs, what slips cost, and how long the next question takes. No database.

    python benchmarks/reviewer.py quality
    python benchmarks/reviewer.py quality --slips 0.03
    python benchmarks/reviewer.py random
    python benchmarks/reviewer.py speed

The reviewer knows the characters, judges by the majority of the images shown, and slips with a given probability: at
each yes or no, and at each image of a strip. An answer is a question on the screen, or a mark in a strip.
"""

import argparse
import statistics
import time
from collections import Counter
from dataclasses import dataclass, field

import common
import numpy as np
from common import table
from hard_characters import make_characters
from numpy.typing import NDArray
from simulation import simulate

from ccip_plugin.core.clustering import cluster
from ccip_plugin.core.differences import normalize
from ccip_plugin.core.registry import DEFAULT_MODEL, get_spec
from ccip_plugin.core.review.answers import apply, effects_of, learn, record
from ccip_plugin.core.review.board import UNASSIGNED, Board
from ccip_plugin.core.review.kinds import HALVES, IN, OUT, SAME, Question
from ccip_plugin.core.review.memory import Memory
from ccip_plugin.core.review.probabilities import Probabilities
from ccip_plugin.core.review.progress import Estimate, estimate
from ccip_plugin.core.review.questions import Ranking

GOAL = 0.98
MOST = 1500
BARS = {0.0: GOAL, 0.01: 0.975, 0.03: 0.967}  # B-cubed F when it stops by itself, by share of slips
MOST_DROP = 0.005
MOST_MS = 15.0
FIT_EVERY = 20
ESTIMATE_EVERY = 100
FIRST_NEW_ID = 1_000_000


@dataclass
class Reviewer:
    """Who answers."""

    truth: NDArray[np.int64]
    slips: float
    random: np.random.Generator

    def answer(self, question: Question) -> tuple[str, tuple[int, ...]]:
        """What is said, and which tiles are marked."""
        images = question.images
        if question.kind in (SAME, HALVES):
            return "same" if self.says(self.who(images[0]) == self.who(images[1])) else "different", ()
        if question.kind == OUT:
            who = self.who(images[0])
            return "done", tuple(i for i, row in enumerate(question.rows) if self.says(self.truth[row] != who))
        if question.kind == IN:
            who = self.who(images[0])
            return "done", tuple(i for i, rows in enumerate(images[1:]) if self.says(self.who(rows) == who))
        right = [i for i, rows in enumerate(images) if self.who(rows) == self.truth[question.rows[0]]]
        pick = right[0] if right else -1
        if not self.says(True):
            pick = int(self.random.integers(-1, len(images)))
        return ("pick", (pick,)) if pick >= 0 else ("new", ())

    def who(self, rows: NDArray[np.int64]) -> int:
        """The character of most of some images."""
        return int(np.bincount(self.truth[rows]).argmax())

    def says(self, is_so: bool) -> bool:
        """The answer to yes or no, sometimes the wrong one."""
        return bool(is_so) != bool(self.slips and self.random.random() < self.slips)


@dataclass
class Course:
    """How a review went: answers and B-cubed F after each question, estimates on the way."""

    answers: list[int] = field(default_factory=lambda: [0])
    scores: list[float] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    estimates: list[tuple[int, float, Estimate]] = field(default_factory=list)
    milliseconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def reached(self, score: float) -> int | None:
        """After how many answers a score was reached."""
        return next((n for n, each in zip(self.answers, self.scores, strict=True) if each >= score), None)

    @property
    def drop(self) -> float:
        """How far the score fell below its best on the way."""
        return float((np.maximum.accumulate(self.scores) - self.scores).max())


class Review:
    """A review by the simulated reviewer."""

    def __init__(self, vectors: NDArray, groups: NDArray, truth: NDArray, *, seed: int, slips: float = 0.0) -> None:
        self.board = Board(vectors, groups, threshold=get_spec(DEFAULT_MODEL).threshold)
        self.memory, self.probabilities, self.ranking = Memory(), Probabilities(), Ranking()
        self.truth, self.reviewer = truth, Reviewer(truth, slips, np.random.default_rng((7, seed)))
        self.course, self._new_id = Course(), FIRST_NEW_ID
        self.course.scores.append(bcubed(groups, truth))

    def run(self, *, most: int, n: int = 1) -> Course:
        """Asks until nothing is left to ask, or ``most`` answers were given; ``n`` questions are ranked at a time."""
        course = self.course
        questions = self.ask(n)
        while questions and course.answers[-1] < most:
            said, marked = self.reviewer.answer(questions[0])
            learn(self.probabilities, questions[0], said, marked)
            course.kinds[questions[0].kind] += 1
            n_marks = len(marked) if questions[0].kind in (IN, OUT) else 0
            if course.kinds.total() % FIT_EVERY == 0:
                self.probabilities.fit()
            questions = self.answer(questions[0], said, marked, n)
            course.answers.append(course.answers[-1] + 1 + n_marks)
            course.scores.append(bcubed(self.board.group_of, self.truth))
            if course.kinds.total() % ESTIMATE_EVERY == 0:
                self.estimate()
        self.estimate()
        return course

    def ask(self, n: int) -> list[Question]:
        """The best questions."""
        return self.ranking.rank(self.board, self.memory, self.probabilities, n=n)

    def answer(self, question: Question, said: str, marked: tuple[int, ...], n: int) -> list[Question]:
        """Applies an answer and ranks the next questions; this is what is timed."""
        started, cpu = time.perf_counter(), time.process_time()
        effects = effects_of(question, said, marked, new_id=self._new_id)
        record(self.memory, question, said, marked, new_id=self._new_id)
        apply(self.board, effects)
        self._new_id += 1
        questions = self.ask(n)
        self.course.milliseconds.append(1000 * (time.perf_counter() - started))
        self.course.cpu.append(1000 * (time.process_time() - cpu))
        return questions

    def estimate(self) -> None:
        """Records true and estimated purity, and how many questions are said to be left."""
        state = estimate(self.board, self.memory, self.probabilities, self.ranking)
        self.course.estimates.append((self.course.kinds.total(), purity(self.board, self.truth), state))


def purity(board: Board, truth: NDArray) -> float:
    """Share of the images in groups of two or more that are of the character of most of their group."""
    groups = [board.members(each) for each in board.ids.tolist() if board.size(each) > 1]
    return sum(int(np.bincount(truth[rows]).max()) for rows in groups) / sum(map(len, groups))


def bcubed(groups: NDArray, truth: NDArray) -> float:
    """B-cubed F; an image in no group is a group of its own."""
    labels = np.where(groups == UNASSIGNED, groups.max() + 1 + np.arange(len(groups)), groups)
    left, right = (np.unique(each, return_inverse=True)[1] for each in (labels, truth))
    n_right = int(right.max()) + 1
    cells, shared = np.unique(left * n_right + right, return_counts=True)
    precision = (shared**2 / np.bincount(left)[cells // n_right]).sum() / len(truth)
    recall = (shared**2 / np.bincount(right)[cells % n_right]).sum() / len(truth)
    return float(2 * precision * recall / (precision + recall))


def start(n: int, seed: int) -> tuple[NDArray, NDArray, NDArray]:
    """Embeddings, their groups by the default method, and their characters."""
    raw, truth = make_characters(n, seed)
    vectors = normalize(raw)
    return vectors, cluster(vectors) + 1, truth


def quality(arguments: argparse.Namespace) -> None:
    """The ranked questions against the bars."""
    rows, courses = [], []
    for seed in arguments.seeds:
        course = Review(*start(arguments.images, seed), seed=seed, slips=arguments.slips).run(most=MOST)
        courses.append(course)
        scores, kinds = course.scores, ", ".join(f"{kind} {n}" for kind, n in course.kinds.most_common())
        reached = ["-" if (n := course.reached(score)) is None else n for score in (0.96, 0.97, GOAL)]
        end = (course.answers[-1], f"{scores[-1]:.4f}", f"{course.drop:.4f}")
        rows.append((seed, f"{scores[0]:.4f}", *reached, *end, kinds))
        print(*rows[-1], flush=True)
    heads = ("seed", "start", "0.96 after", "0.97 after", f"{GOAL} after", "stops after", "F then", "drop", "questions")
    title = f"Ranked questions, {arguments.images:,} images, {arguments.slips:.0%} slips"
    table(title, heads, rows, save_as=f"reviewer-{round(100 * arguments.slips)}")
    _print_estimates(courses)
    _print_bars(courses, arguments.slips)


def _print_estimates(courses: list[Course]) -> None:
    states = [(course.kinds.total() - n, true, state) for course in courses for n, true, state in course.estimates]
    known = [(true, state.purity) for _, true, state in states if state.purity is not None]
    inside = sum(each.low <= true <= each.high for true, each in known)
    wrong = statistics.mean(abs(each.estimate - true) for true, each in known)
    print(f"\nPurity: in its 95 % interval {inside} times of {len(known)}; mean error {wrong:.4f}.")
    ratios = [state.n_left / left for left, _, state in states if left >= ESTIMATE_EVERY]
    if ratios:
        print(
            f"Questions left: said / true, median {statistics.median(ratios):.2f}, {min(ratios):.2f}-{max(ratios):.2f}"
        )


def _print_bars(courses: list[Course], slips: float) -> None:
    print(f"\n{common.machine()}")
    if not slips:
        reached = [MOST if (n := course.reached(GOAL)) is None else n for course in courses]
        _bar(f"answers to {GOAL}, mean", statistics.mean(reached), 700, at_most=True)
    bar = BARS.get(slips)
    if bar is not None:
        _bar("lowest F when it stops", min(course.scores[-1] for course in courses), bar)
    _bar("answers when it stops, most", max(course.answers[-1] for course in courses), MOST, at_most=True)
    _bar("largest drop below the best", max(course.drop for course in courses), MOST_DROP, at_most=True)


def _bar(what: str, value: float, bar: float, *, at_most: bool = False) -> None:
    is_met = value <= bar if at_most else value >= bar
    print(f"{'met   ' if is_met else 'MISSED'} {what}: {value:.4g} ({'at most' if at_most else 'at least'} {bar:g})")


def random_questions(arguments: argparse.Namespace) -> None:
    """The line to beat: does this image belong to this group, for random images of the most doubtful fifth."""
    rows = []
    for seed in arguments.seeds:
        vectors, groups, truth = start(arguments.images, seed)
        board = Board(vectors, groups, threshold=get_spec(DEFAULT_MODEL).threshold)
        random, answers, scores = np.random.default_rng(seed), 0, [bcubed(board.group_of, truth)]
        asked: set[tuple[int, int]] = set()
        while answers < 2 * MOST:
            fresh = [each for each in _doubtful(board, random) if each not in asked][: min(50, 2 * MOST - answers)]
            if not fresh:
                break
            for row, group_id in fresh:
                asked.add((row, group_id))
                answers += 1
                _put_right(board, truth, row, group_id)
            scores.append(bcubed(board.group_of, truth))
        end = (f"{scores[0]:.4f}", f"{scores[min(14, len(scores) - 1)]:.4f}", answers, f"{scores[-1]:.4f}")
        rows.append((seed, *end))
        print(*rows[-1], flush=True)
    heads = ("seed", "start", "F after 700", "answers", "F then")
    table(f"Random borderline questions, {arguments.images:,} images", heads, rows, save_as="reviewer-random")


def _doubtful(board: Board, random: np.random.Generator) -> list[tuple[int, int]]:
    """Images with a group, in random order: a fifth of all, those hardest to tell from their nearest rival."""
    inside = np.flatnonzero(np.isfinite(board.difference))
    margins = np.abs(board.rival_difference[inside] - board.difference[inside])
    rows, groups, differences = board.candidate_pairs()
    first = np.unique(rows, return_index=True)[1]
    nearest = np.minimum.reduceat(differences, first)
    is_nearest = differences == np.repeat(nearest, np.diff(np.r_[first, len(rows)]))
    pairs = [*zip(inside.tolist(), board.group_of[inside].tolist(), strict=True)]
    pairs += zip(rows[is_nearest].tolist(), groups[is_nearest].tolist(), strict=True)
    margins = np.concatenate([margins, np.abs(differences[is_nearest] - board.threshold)])
    hardest = np.argsort(margins, kind="stable")[: len(board.group_of) // 5]
    return [pairs[i] for i in random.permutation(hardest)]


def _put_right(board: Board, truth: NDArray, row: int, group_id: int) -> None:
    if group_id not in board:
        return
    members = board.members(group_id)
    is_right = truth[row] == np.bincount(truth[members[members != row]], minlength=1).argmax()
    if is_right and board.group_of[row] != group_id:
        board.assign([row], group_id)
    elif not is_right:
        board.reject([row], group_id)


def speed(arguments: argparse.Namespace) -> None:
    """Time from an answer to the next questions."""
    random = np.random.default_rng(5)
    sizes = np.maximum(1, random.multinomial(arguments.images, random.dirichlet(np.full(arguments.groups, 1.5))))
    raw, truth = simulate(int(sizes.sum()), 5, sizes=sizes)
    groups = truth + 1
    moved = random.random(len(groups)) < 0.04
    groups[moved] = np.where(random.random(moved.sum()) < 0.5, UNASSIGNED, random.permutation(groups[moved]))
    started = time.perf_counter()
    review = Review(normalize(raw), groups, truth, seed=5)
    built = time.perf_counter() - started
    started = time.perf_counter()
    review.ask(8)
    first = time.perf_counter() - started
    course = review.run(most=300, n=8)
    milliseconds, cpu = course.milliseconds, statistics.median(course.cpu)
    median, p95 = statistics.median(milliseconds), float(np.quantile(milliseconds, 0.95))
    print(f"{len(groups):,} images, {len(review.board.ids):,} groups. {common.machine()}")
    print(
        f"board {built:.2f} s, first questions {first:.2f} s; answer to next questions: {median:.1f} ms, p95 {p95:.1f}"
    )
    print(f"processor time of it: {cpu:.1f} ms")
    _bar("milliseconds from an answer to the next questions, median", median, MOST_MS, at_most=True)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("quality", "random", "speed"))
    parser.add_argument("--images", type=int, help="how many (quality and random 5,000, speed 10,000)")
    parser.add_argument("--groups", type=int, default=2000, help="how many, of speed (2,000)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5], help="sets of characters (1 to 5)")
    parser.add_argument("--slips", type=float, default=0.0, help="share of wrong answers (0)")
    arguments = parser.parse_args()
    arguments.images = arguments.images or (10_000 if arguments.what == "speed" else 5_000)
    {"quality": quality, "random": random_questions, "speed": speed}[arguments.what](arguments)


if __name__ == "__main__":
    main()
