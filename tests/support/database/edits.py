"""A grouped dataset to correct, of samples or of detections."""

from ccip_plugin import group_characters
from ccip_plugin.labels.identities import load_registry
from ccip_plugin.labels.store import LabelStore
from ccip_plugin.storage.targets import items_view, resolve
from tests.support.groups import embed

FIELD = "character_group"
LETTERS = "aaaabbbbc"  # the last is in no group
ONE, TWO = "char_0001", "char_0002"


class Data:
    """A grouped dataset of samples or of detections, three in a sample."""

    def __init__(self, data, patches_field):
        self.data, self.options = data, {"patches_field": patches_field}
        embed(data, LETTERS, patches_field)
        group_characters(data, **self.options)

    @property
    def store(self):
        return LabelStore(resolve(self.data, self.options["patches_field"]), FIELD)

    def view(self, *places):
        ids = self.store.read()[0]
        return items_view(self.store.target, [ids[place] for place in places])

    def labels(self):
        return self.store.read()[2]

    def names(self):
        return [label and label.label for label in self.labels()]

    def statuses(self):
        return [label and label.status for label in self.labels()]

    def ids(self):
        return [label and label.group_id for label in self.labels()]

    def stored(self):
        documents = self.data._sample_collection.find().sort("_id", 1)
        return [{key: value for key, value in each.items() if key != "last_modified_at"} for each in documents]

    @property
    def registry(self):
        return load_registry(self.data, self.store.path)

    def call(self, function, samples, *arguments, **options):
        return function(samples, *arguments, **self.options, **options)

    def run(self, **options):
        return group_characters(self.data, **self.options, **options)
