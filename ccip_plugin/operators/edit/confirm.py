"""Operator: the selected images or detections, or those of a group, are of their group."""

from ...app import route
from ...app.edits import SelectionEdit
from ...labels.edits import confirm


class Confirm(SelectionEdit):
    """Confirms the groups of the selected items; see :func:`~ccip_plugin.labels.edits.assignments.confirm`."""

    name, label, button = "confirm", "CCIP: confirm", "Confirm"
    description = "The selected images, or detections, or those of a group, are of their groups; runs keep them there"
    failure = "CCIP could not confirm the selection"
    function = staticmethod(confirm)
    to_do, nothing = "confirm", "There is nothing to confirm"
    takes_group, toolbar_text = True, "Confirm"
    asks = route.asked(
        path=route.text, group_field=route.text, patches_field=route.text, what=route.text, groups=route.text
    )
