"""Operator: remove everything that CCIP keeps with a dataset."""

from typing import Any

from fiftyone.operators import types

from ...app import route
from ...app.answers import whole_dataset
from ...app.counts import is_countable
from ...app.forms import Form, sentence
from ...app.operator import CCIPOperator, MissingAnswerError
from ...app.outputs import Output
from ...core.errors import CCIPError
from ...jobs.removal import TO_KEEP, USER_LABELS, Removal, remove_ccip


class RemoveCCIP(CCIPOperator):
    """Removes everything of this plugin from a dataset; see :func:`~ccip_plugin.jobs.removal.remove_ccip`."""

    name, label, button = "remove_ccip", "CCIP: remove from this dataset", "Remove"
    description = "Remove all fields, groups, runs, indexes, views and the history of CCIP; it cannot be undone"
    risk = types.RiskLevel.HIGH
    failure = "CCIP could not be removed"
    function = staticmethod(remove_ccip)
    asks = route.asked(is_sure=route.switch)

    def ask(self, form: Form) -> None:
        if not form.has_dataset():
            return
        if is_countable(form.ctx.dataset):
            try:
                planned = remove_ccip(whole_dataset(form.ctx), dry_run=True)
            except CCIPError as error:
                form.error("planned", sentence(error))
                return
            if not planned.ours:
                form.error("nothing", "There is nothing to remove: CCIP keeps nothing with this dataset.")
                return
            _show(form, planned)
        question = "Remove all of this; it cannot be undone"
        if not form.switch("is_sure", question):
            form.error("sure", f"Switch on '{question}'.")

    def samples(self, ctx: Any) -> Any:
        return whole_dataset(ctx)

    def options(self, ctx: Any) -> dict[str, Any]:
        if ctx.params.get("is_sure") is not True:
            raise MissingAnswerError("is_sure")
        return {}

    def show(self, report: Removal, out: Output) -> None:
        out.facts(report.facts(), "CCIP: removed from this dataset")
        out.clears_selection = True


def _show(form: Form, planned: Removal) -> None:
    facts = planned.facts()
    if planned.n_user_labels:
        text = (
            f"User labels in them: {planned.n_user_labels:,}. To keep them, run 'CCIP: save decisions as a file' first."
        )
        form.warning("user_labels", text)
    for number, (label, value) in enumerate(facts.pairs):
        if label in (USER_LABELS, TO_KEEP):
            continue
        form.hint(f"ours_{number}", f"{label}: {value}")
    for number, warning in enumerate(facts.warnings):
        form.warning(f"other_{number}", sentence(warning))
