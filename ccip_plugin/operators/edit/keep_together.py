"""Operator: the selected images or detections show one character."""

from ...app.edits import SelectionEdit
from ...labels.edits import keep_together


class KeepTogether(SelectionEdit):
    """Keeps the selected items together; see :func:`~ccip_plugin.labels.edits.together.keep_together`."""

    name, label, button = "keep_together", "CCIP: same character", "Keep together"
    description = (
        "The selected images, or detections, show one character; they are confirmed in the group of most of them"
    )
    failure = "CCIP could not keep the selection together"
    function = staticmethod(keep_together)
    to_do, nothing = "keep together as one character", "There is nothing to keep together"
    takes_several = True
