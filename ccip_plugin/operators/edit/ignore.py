"""Operator: the selected images or detections show no character that matters."""

from ...app import route
from ...app.edits import SelectionEdit
from ...labels.edits import ignore


class Ignore(SelectionEdit):
    """Ignores the selected items; see :func:`~ccip_plugin.labels.edits.assignments.ignore`."""

    name, label, button = "ignore", "CCIP: ignore", "Ignore"
    description = (
        "The selected images, or those of a group, show no character that matters; no run puts them into a group"
    )
    failure = "CCIP could not ignore the selection"
    function = staticmethod(ignore)
    to_do, nothing = "ignore", "There is nothing to ignore"
    takes_group = True
    asks = route.asked(
        path=route.text, group_field=route.text, patches_field=route.text, what=route.text, groups=route.text
    )
