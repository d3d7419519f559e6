"""What a curator does to a dataset by hand, through FiftyOne, at random."""

import random
from collections.abc import Callable

import fiftyone as fo

from tests.attacks.states import FIELD, PEOPLE, UNASSIGNED
from tests.support.groups import embed

LETTERS = "aaaaAAAbbbbcccCCdd eE"
NAMES = ["Rei", " Rei ", "綾波レイ", "か\u3099くほ\u309a", "がくぽ", "Ａｓｕｋａ", "Asuka", "🎀"]
ODD_NAMES = ["x" * 250, UNASSIGNED, "", "character_0099", "char_0001"]


class Curator:
    """Edits a dataset by hand.

    Args:
        dataset: the dataset, with embeddings
        is_patches: whether its detections are grouped
        rng: chooses what is done
    """

    def __init__(self, dataset: fo.Dataset, is_patches: bool, rng: random.Random):
        self.dataset, self.is_patches, self.rng = dataset, is_patches, rng
        self.n_added = 0
        edits: list[tuple[Callable[[], str], int]] = [
            (self.rename, 30),
            (self.set_status, 14),
            (self.replace, 8),
            (self.clear, 8),
            (self.touch_others, 6),
            (self.add, 3),
            (self.delete, 3),
        ]
        self._edits, self._weights = zip(*edits, strict=True)

    def edit(self) -> str:
        """Does one edit; says what was done."""
        is_labeled = self.dataset.get_field(f"{PEOPLE}.detections.{FIELD}" if self.is_patches else f"{FIELD}.label")
        if is_labeled is None:
            return self.add()
        return self.rng.choices(self._edits, self._weights)[0]()

    def ids(self) -> list[str]:
        """The ids of all items."""
        if self.is_patches:
            return self.dataset.values(f"{PEOPLE}.detections.id", unwind=True)
        return self.dataset.values("id")

    def some(self, n: int | None = None) -> list[str]:
        """The ids of some items."""
        ids = self.ids()
        return self.rng.sample(ids, min(len(ids), n or self.rng.choice([1, 1, 1, 2, 4])))

    def name(self) -> str:
        """A name: a new one, one of a group, or none that a group can have."""
        path = f"{PEOPLE}.detections.{FIELD}" if self.is_patches else f"{FIELD}.label"
        used = [name for name in self.dataset.distinct(path) if name]
        kinds = [NAMES, sorted(used) or NAMES, ODD_NAMES]
        return self.rng.choice(self.rng.choices(kinds, [40, 45, 15])[0])

    def rename(self) -> str:
        """Gives items another name."""
        ids, name = self.some(), self.name()
        how = self.rng.choice(["save", "set_values"])
        self._set(ids, "label", name, how)
        return f"rename {ids} to {name[:20]!r} by {how}"

    def set_status(self) -> str:
        """Confirms or ignores items, or leaves them to the next run."""
        ids, status = self.some(), self.rng.choice(["confirmed", "confirmed", "ignored", "auto"])
        how = self.rng.choice(["save", "set_values"])
        self._set(ids, "status", status, how)
        return f"status of {ids} is {status} by {how}"

    def replace(self) -> str:
        """Gives items another label altogether, as an editor does."""
        ids, name = self.some(), self.name()
        if self.is_patches:
            for item in self._detections(ids):
                for key in [key for key in item.field_names if key.startswith("character_")]:
                    item[key] = None
                item[FIELD] = name
            self._save()
        else:
            for sample in self.dataset.select(ids):
                sample[FIELD] = fo.Classification(label=name)
                sample.save()
        return f"replace {ids} by {name[:20]!r}"

    def clear(self) -> str:
        """Removes the labels of items."""
        ids = self.some()
        if self.rng.random() < 0.3:
            how = self.rng.choice(["save", "set_values"])
            self._set(ids, "label", None, how)
            return f"clear the text of {ids} by {how}"
        if self.is_patches:
            for item in self._detections(ids):
                for key in [key for key in item.field_names if key.startswith("character_")]:
                    item[key] = None
            self._save()
        elif self.rng.random() < 0.5:
            self.dataset.select(ids).clear_sample_field(FIELD)
        else:
            for sample in self.dataset.select(ids):
                sample[FIELD] = None
                sample.save()
        return f"clear {ids}"

    def touch_others(self) -> str:
        """Changes what is none of our business."""
        ids = self.some()
        if self.is_patches:
            for item in self._detections(ids):
                item.label, item.tags = self.rng.choice(["person", "face"]), [self.rng.choice("xyz")]
                item["mine"] = self.rng.random()
            self._save()
        else:
            self.dataset.select(ids).tag_samples(self.rng.choice("xyz"))
            self._set(self._labeled(ids), "mine", self.rng.random(), "save")
        return f"touch others of {ids}"

    def add(self) -> str:
        """Adds samples with embeddings."""
        letters = "".join(self.rng.choices("aAbcdef ", k=self.rng.choice([1, 2, 5])))
        return f"add {self.add_samples(letters)}"

    def add_samples(self, letters: str) -> list[str]:
        """Adds an item per letter; two detections to a sample."""
        step = 2 if self.is_patches else 1
        samples = []
        for start in range(0, len(letters), step):
            self.n_added += 1
            sample = fo.Sample(f"/絵/{self.n_added:04d}.png")
            if self.is_patches:
                boxes = [[0.5 * n, 0, 0.4, 0.4] for n in range(len(letters[start : start + step]))]
                detections = [fo.Detection(label="person", bounding_box=box, index=n) for n, box in enumerate(boxes)]
                sample[PEOPLE] = fo.Detections(detections=detections)
            samples.append(sample)
        ids = self.dataset.add_samples(samples)
        embed(self.dataset.select(ids), letters, PEOPLE if self.is_patches else None)
        return ids

    def delete(self) -> str:
        """Deletes samples."""
        ids = self.rng.sample(self.dataset.values("id"), self.rng.choice([1, 2]))
        if len(self.dataset) > 12:
            self.dataset.delete_samples(ids)
        return f"delete {ids}"

    def _labeled(self, ids: list[str]) -> list[str]:
        return [sample.id for sample in self.dataset.select(ids) if sample[FIELD] is not None]

    def _set(self, ids: list[str], name: str, value: object, how: str) -> None:
        """Sets a value of the labels of some items, of those that have one."""
        key = name
        if self.is_patches:
            key = {"label": FIELD, "mine": "mine"}.get(name, f"character_{name}")
            if how == "set_values":
                self.dataset.set_label_values(f"{PEOPLE}.detections.{key}", dict.fromkeys(ids, value))
                return
            for item in self._detections(ids):
                item[key] = value
            self._save()
            return
        ids = self._labeled(ids)
        if how == "set_values" and ids:
            self.dataset.select(ids).set_values(f"{FIELD}.{name}", [value] * len(ids))
            return
        for sample in self.dataset.select(ids):
            sample[FIELD][key] = value
            sample.save()

    def _detections(self, ids: list[str]) -> list[fo.Detection]:
        self._opened = list(self.dataset.match_labels(ids=ids, fields=PEOPLE))
        return [each for sample in self._opened for each in sample[PEOPLE].detections if each.id in ids]

    def _save(self) -> None:
        for sample in self._opened:
            sample.save()
