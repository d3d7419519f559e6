"""Chooses the images that show groups."""

from fiftyone.core.collections import SampleCollection

from ...core.errors import CCIPError
from ...core.progress import ProgressCallback
from ...storage.connection import with_database_errors
from ...storage.fields import GROUP_FIELD
from .chosen import Edit, chosen_store, edit
from .report import EditReport, about_names, names_text


class SeveralCoversError(CCIPError, ValueError):
    """Several images of one group cannot all be its cover."""

    def __init__(self, path: str, name: str):
        super().__init__(f"several of the images are in {name!r} of {path!r}: choose a single one as its cover")
        self.path, self.name = path, name


@with_database_errors
def set_cover(
    samples: SampleCollection,
    *,
    group_field: str = GROUP_FIELD,
    patches_field: str | None = None,
    dry_run: bool = False,
    progress: ProgressCallback | None = None,
) -> EditReport:
    """Makes images the covers of their groups: what shows a group where there is room for one image.

    Labels stay as they are. Images in no group are left out.

    Args:
        samples: a view of the images, or of the detections, at most one of a group
        group_field ("character_group"): the field with the groups
        patches_field (None): the field with the detections, when they were grouped
        dry_run (False): change nothing, only say what would be
        progress (None): called with the number of labels written

    Returns:
        an :class:`~ccip_plugin.labels.edits.report.EditReport`

    Raises:
        SeveralCoversError: several of the images are in one group
        TargetError: a whole dataset was given, or what cannot have groups
        StaleGroupsError: the groups were changed by another process meanwhile; try again
        LeaseHeldError: another process is writing
    """
    store = chosen_store(samples, None, group_field, patches_field, "set as cover")
    return edit(store, "set_cover", _set_covers, groups=None, dry_run=dry_run, progress=progress)


def _set_covers(made: Edit) -> None:
    seen = set()
    for item_id, _, label in made.rows:
        group_id = made.group_of(label)
        if group_id is None:
            made.n_without += 1
            continue
        group = made.draft.groups[group_id]
        if group_id in seen:
            raise SeveralCoversError(made.store.path, group.name)
        seen.add(group_id)
        if group.cover == item_id:
            made.n_same += 1
        made.draft.set_cover(group_id, item_id)
    made.about = f"of {about_names(made.draft.groups[group_id].name for group_id in seen)}" if seen else ""
    made.details["Cover of"] = names_text(made.draft.groups[group_id].name for group_id in seen)
