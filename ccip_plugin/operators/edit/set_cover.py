"""Operator: the selected image or detection shows its group."""

from ...app.edits import SelectionEdit
from ...labels.edits import set_cover


class SetCover(SelectionEdit):
    """Makes the selected items covers; see :func:`~ccip_plugin.labels.edits.covers.set_cover`."""

    name, label, button = "set_cover", "CCIP: choose the cover of a group", "Set cover"
    description = "The selected image, or detection, shows its group where there is room for one image"
    failure = "CCIP could not set the cover"
    function = staticmethod(set_cover)
    to_do, nothing = "set as the cover of its group", "There is no group to show"
