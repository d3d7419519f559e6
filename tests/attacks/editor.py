"""A process that corrects a dataset at random: ``python -m tests.attacks.editor ORDERS``, which are JSON.

It writes a log: a line of JSON for each act, with what it named and what came of it. Its name is in the history.
"""

import json
import os
import random
import sys
from pathlib import Path

N_SOME = 1, 1, 2, 3
NAMES = ["Rei", "綾波レイ", "か\u3099くほ\u309a", "がくぽ", "Asuka", "🎀"]


class Editor:
    """Random corrections of one dataset, which another process corrects as well.

    Args:
        dataset: the dataset
        is_patches: whether its detections are grouped
        rng: chooses what is done
    """

    def __init__(self, dataset, is_patches, rng):
        from tests.attacks.states import PEOPLE

        self.dataset, self.rng = dataset, rng
        self.field = {"patches_field": PEOPLE if is_patches else None}
        self.people = PEOPLE if is_patches else None
        self.ids = dataset.values(f"{PEOPLE}.detections.id" if is_patches else "id", unwind=is_patches)

    def act(self):
        """Does one correction; gives what it named and what came of it."""
        import ccip_plugin as ccip
        from ccip_plugin.labels.identities import load_registry
        from tests.attacks.states import path_of

        ids = self.rng.sample(self.ids, self.rng.choice(N_SOME))
        registry = load_registry(self.dataset, path_of(self.people is not None))
        roots = sorted(key for key, group in registry.groups.items() if group.merged_into is None)
        groups = self.rng.sample(roots, min(2, len(roots)))
        view = self.dataset.select_labels(ids=ids, fields=self.people) if self.people else self.dataset.select(ids)
        name = self.rng.choice(NAMES)
        acts = {
            "confirm": lambda: ccip.confirm(view, **self.field),
            "ignore": lambda: ccip.ignore(view, **self.field),
            "move": lambda: ccip.move(view, self.rng.choice([None, name, groups[0]]), **self.field),
            "reject": lambda: ccip.reject(view, **self.field),
            "keep_together": lambda: ccip.keep_together(view, **self.field),
            "keep_apart": lambda: ccip.keep_apart(view, **self.field),
            "set_cover": lambda: ccip.set_cover(view, **self.field),
            "keep_groups_apart": lambda: ccip.keep_apart(self.dataset, groups, **self.field),
            "rename_group": lambda: ccip.rename_group(self.dataset, groups[0], name, **self.field),
            "merge_groups": lambda: ccip.merge_groups(self.dataset, groups, name=name, **self.field),
            "split_group": lambda: ccip.split_group(self.dataset, groups[0], k=2, **self.field),
        }
        kind = self.rng.choice(sorted(acts))
        of_items = kind in ("confirm", "ignore", "move", "reject", "keep_together", "keep_apart", "set_cover")
        return {"kind": kind, "ids": ids if of_items else [], "groups": groups, "name": name} | self._done(acts[kind])

    def run(self):
        """Groups the dataset."""
        import ccip_plugin as ccip

        options = self.rng.choice([{}, {"eps": 0.1}, {"eps": 0.4}, {"mode": "add"}])
        return {"kind": "run", "ids": []} | self._done(
            lambda: ccip.group_characters(self.dataset, **options, **self.field)
        )

    def _done(self, act):
        from ccip_plugin.core.errors import CCIPError

        try:
            report = act()
        except CCIPError as error:
            return {"error": type(error).__name__, "text": str(error)}
        number = getattr(report, "number", "unknown")  # a rejection has none
        return {"number": number, "n_left": report.n_left, "refused": sorted(report.refused)}


def main() -> None:
    """Does what it is ordered to, when the other process is there as well."""
    orders = json.loads(sys.argv[1])
    os.environ["CCIP_USER"] = orders["name"]
    import fiftyone as fo

    import ccip_plugin.labels.edits.together  # noqa: F401 - imported before it begins

    editor = Editor(fo.load_dataset(orders["dataset"]), orders["is_patches"], random.Random(orders["seed"]))
    print("ready", flush=True)
    sys.stdin.readline()
    with Path(orders["log"]).open("w", encoding="utf-8") as log:
        for number in range(1, orders["n"] + 1):
            done = editor.run() if number % orders["run_every"] == 0 else editor.act()
            log.write(json.dumps(done) + "\n")


if __name__ == "__main__":
    main()
