"""Operator: the selected images or detections show different characters."""

from ...app.edits import SelectionEdit
from ...labels.edits import keep_apart


class KeepApart(SelectionEdit):
    """Keeps the selected items apart; see :func:`~ccip_plugin.labels.edits.together.keep_apart`."""

    name, label, button = "keep_apart", "CCIP: different characters", "Keep apart"
    description = "The selected images, or detections, show different characters; no run puts them into one group"
    failure = "CCIP could not keep the selection apart"
    function = staticmethod(keep_apart)
    to_do, nothing = "keep apart as different characters", "There is nothing to keep apart"
    takes_several = True
