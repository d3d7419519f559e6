"""Operator: the selected images or detections are of their group."""

from ...app.edits import SelectionEdit
from ...labels.edits import confirm


class Confirm(SelectionEdit):
    """Confirms the groups of the selected items; see :func:`~ccip_plugin.labels.edits.assignments.confirm`."""

    name, label, button = "confirm", "CCIP: confirm", "Confirm"
    description = "The selected images, or detections, are of their groups; runs keep them there"
    failure = "CCIP could not confirm the selection"
    function = staticmethod(confirm)
    to_do, nothing = "confirm", "There is nothing to confirm"
