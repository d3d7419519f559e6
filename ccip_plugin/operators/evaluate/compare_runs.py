"""Operator: two groupings, models or evaluations side by side."""

from collections.abc import Iterator
from typing import Any

import fiftyone.operators as foo
from fiftyone.operators import types

from ...app import ask_names, execution, forms, outputs
from ...evaluation.comparison import (
    GROUPED,
    MOVED,
    UNGROUPED,
    EvaluationComparison,
    GroupingComparison,
    comparable,
    compare_runs,
)

TITLE = "CCIP: compare groupings"
NOTHING = "nothing"
WORDS = {
    MOVED: "Moved to another group",
    GROUPED: "In a group in the second only",
    UNGROUPED: "In a group in the first only",
    "same": "In corresponding groups",
    "in_no_group": "In no group in both",
}
"""Kinds of items, in words."""


class CompareRuns(foo.Operator):
    """Compares two groupings; see :func:`~ccip_plugin.evaluation.comparison.compare_runs`. Writes nothing."""

    @property
    def config(self) -> foo.OperatorConfig:
        return foo.OperatorConfig(
            name="compare_runs",
            label=TITLE,
            description="See two groupings, models or evaluations side by side: how far they agree, and what moved",
            **forms.ICONS,
            dynamic=True,
            execute_as_generator=True,
            allow_immediate_execution=True,
            allow_delegated_execution=True,
            risk_level=types.RiskLevel.LOW,
        )

    def resolve_input(self, ctx: Any) -> types.Property:
        form = forms.Form(ctx, TITLE)
        target = form.target("Compare")
        if target is None:
            return form.property()
        known = comparable(target)
        if len(known) < 2:
            form.error("nothing", "There are no two groupings, models or evaluations to compare.")
            return form.property()
        for name, label, default in (("first", "The first", known[0]), ("second", "The second", known[1])):
            choices = types.Dropdown()
            for each in known:
                choices.add_choice(each, label=each)
            form.inputs.enum(name, choices.values(), label=label, default=default, required=True, view=choices)
        shown = types.RadioGroup(orientation="vertical")
        shown.add_choice(NOTHING, label="What is shown now")
        for kind in (MOVED, GROUPED, UNGROUPED):
            shown.add_choice(kind, label=WORDS[kind])
        form.inputs.enum("show", shown.values(), label="Afterwards show", default=NOTHING, view=shown)
        return form.property("Compare")

    def execute(self, ctx: Any) -> Any:
        options = {
            **forms.options(ctx, ("first", "second", "model_dir")),
            "patches_field": forms.patches_field_of(ctx),
        }
        shown = ctx.params.get("show", NOTHING)

        def work(progress: Any) -> GroupingComparison | EvaluationComparison:
            return compare_runs(ctx.target_view(require_flat=True), progress=progress, **options)

        def also(found: GroupingComparison | EvaluationComparison) -> Iterator[Any]:
            if isinstance(found, GroupingComparison) and shown in found.ids:
                yield ctx.ops.set_view(found.view(shown))

        return execution.execute(
            ctx,
            work,
            title="CCIP could not compare them",
            results_of=_results,
            outputs_of=_outputs,
            message_of=lambda found: f"CCIP: compared {found.first} and {found.second}",
            has_changed=lambda found: False,
            also=also,
        )

    def resolve_output(self, ctx: Any) -> types.Property:
        return _outputs(ctx.results)

    def __call__(self, samples: Any, first: str, second: str, *, delegate: bool = False, **options: Any) -> Any:
        """Compares from Python; takes what :func:`~ccip_plugin.evaluation.comparison.compare_runs` takes.

        Args:
            samples: a dataset or view
            first: the one
            second: the other
            delegate (False): schedule it instead, for a worker
            options: those of the function
        """
        if delegate:
            return execution.schedule(self.uri, samples, {"first": first, "second": second, **options})
        return compare_runs(samples, first, second, **options)


def _results(found: GroupingComparison | EvaluationComparison) -> dict[str, Any]:
    sides: list[tuple[str, object]] = [("First", found.first), ("Second", found.second)]
    if isinstance(found, EvaluationComparison):
        return {"facts": outputs.facts(sides), "table": found.table()}
    sides += [(WORDS[kind], n) for kind, n in found.counts.items()]
    groups = [
        {
            "Group": str(each.first),
            "Corresponds to": "" if each.second is None else str(each.second),
            "Images": each.n_first,
            "There": each.n_second,
            "In both": each.n_shared,
        }
        for each in found.groups[: ask_names.MOST_ROWS]
    ]
    return {"facts": outputs.facts(sides), "table": found.table(), "groups": groups}


def _outputs(results: dict[str, Any]) -> types.Property:
    shown = types.Object()
    outputs.add_facts(shown, "CCIP: comparison")
    ask_names.add_rows(shown, results, "table", "Agreement")
    ask_names.add_rows(shown, results, "groups", "Groups of the first, those that differ most first")
    return types.Property(shown, view=types.View(label=TITLE))
