"""Processes that embed the same items, one step of each at a time."""

import random
from collections import Counter, deque

import pytest
from bson import ObjectId

from ccip_plugin.embeddings import sharing
from ccip_plugin.embeddings.sharing import Sharing
from ccip_plugin.embeddings.store import BLOCK, Key, Keys


class Process:
    """One that has ``n_waiting`` results in memory before it writes them, all at once."""

    def __init__(self, keys, stored, n_waiting, embedded=None):
        self.sharing = Sharing(Keys(keys), embedded or (lambda asked: stored & set(asked)))
        self._todo = (key for block in self.sharing.blocks() for key in block)
        self._stored, self._waiting, self._n_waiting = stored, deque(), n_waiting
        self.computed, self.is_done = Counter(), False

    def step(self):
        """Embeds one item."""
        key = next(self._todo, None)
        self.is_done = key is None
        if key is not None:
            self.computed[key] += 1
            self._waiting.append(key)
        if self.is_done or len(self._waiting) >= self._n_waiting:
            self.sharing.wrote(len(self._stored & set(self._waiting)))
            self._stored |= set(self._waiting)
            self._waiting.clear()


def run(processes, rng, speeds=None):
    """Lets all go on until each is done; returns how often each item was done."""
    while going := [process for process in processes if not process.is_done]:
        rng.choices(going, [(speeds or {}).get(process, 1) for process in going])[0].step()
    return sum((process.computed for process in processes), Counter())


def many_keys(n):
    return [Key(ObjectId()) for _ in range(n)]


@pytest.mark.parametrize("n_keys", [0, 1, 100, 1234])
def test_a_single_process_does_each_item_once(n_keys):
    keys = many_keys(n_keys)
    process = Process(keys, set(), 30)
    assert run([process], random.Random(1)) == Counter(keys)
    assert process.sharing.n_elsewhere == 0


@pytest.mark.parametrize("n_processes", [2, 3, 8])
def test_each_process_does_about_one_block_twice(n_processes, monkeypatch):
    keys, n_twice = many_keys(5_000), []
    for seed in range(10):
        rng, stored = random.Random(seed), set()
        monkeypatch.setattr(sharing, "random", random.Random(seed))
        processes = [Process(keys, stored, 50) for _ in range(n_processes)]
        counts = run(processes, rng, {process: rng.choice([1, 1, 3]) for process in processes})
        assert set(counts) == stored == set(keys)
        totals = [sum(each.computed.values()) + each.sharing.n_elsewhere for each in processes]
        assert totals == [len(keys)] * n_processes
        n_twice.append((sum(counts.values()) - len(keys)) / n_processes / BLOCK)
    print(n_twice)
    assert max(n_twice) <= 2.5
    assert sum(n_twice) / len(n_twice) <= 1.25


def test_two_that_are_at_the_same_place_part(monkeypatch):
    keys, stored, n_twice = many_keys(5_000), set(), []
    for seed in range(10):
        stored.clear()
        monkeypatch.setattr(sharing, "random", random.Random(seed))
        processes = [Process(keys, stored, 50) for _ in range(2)]
        monkeypatch.setattr(sharing.random, "choice", lambda blocks: blocks[len(blocks) // 2])
        for process in processes:
            process.step()
        monkeypatch.undo()
        monkeypatch.setattr(sharing, "random", random.Random(seed))
        n_twice.append((run(processes, random.Random(seed)).total() - len(keys)) / BLOCK)
    print(n_twice)
    assert max(n_twice) <= 6


def test_what_another_one_has_begun_comes_last():
    keys = many_keys(300)
    stored = {keys[100]}
    process = Process(keys, stored, 1)
    run([process], random.Random(1))
    assert list(process.computed)[-99:] == keys[101:200]
    assert process.sharing.n_elsewhere == 1
