"""Operator: how well character groups agree with who is who."""

from collections.abc import Iterator
from typing import Any

import fiftyone.operators as foo
from fiftyone.operators import types

from ...app import ask_names, execution, forms, outputs
from ...evaluation.evaluate import evaluate_groups
from ...evaluation.report import KINDS, GroupEvaluation
from ...storage.fields import GROUP_FIELD

TITLE = "CCIP: evaluate character groups"
NOTHING = "nothing"
WORDS = {
    "misplaced": "With another character",
    "scattered": "In a second group of their character",
    "unassigned": "In no group, though their character has one",
    "worst_group": "In the group that costs most",
}
"""Kinds of items, in words."""


class EvaluateGroups(foo.Operator):
    """Measures groups; see :func:`~ccip_plugin.evaluation.evaluate.evaluate_groups`."""

    @property
    def config(self) -> foo.OperatorConfig:
        return foo.OperatorConfig(
            name="evaluate_groups",
            label=TITLE,
            description="Compare character groups with who is who: metrics, what costs most, clicks to clean",
            **forms.ICONS,
            dynamic=True,
            execute_as_generator=True,
            allow_immediate_execution=True,
            allow_delegated_execution=True,
            risk_level=types.RiskLevel.MEDIUM,
        )

    def resolve_input(self, ctx: Any) -> types.Property:
        form = forms.Form(ctx, TITLE)
        target = form.target("Evaluate")
        if target is None:
            return form.property()
        groups = ask_names.ask_for_names(form, target, "group_field", "Groups in the field", default=GROUP_FIELD)
        truth = ask_names.ask_for_names(form, target, "ground_truth_field", "Who is who is in the field")
        if groups is not None and groups == truth:
            form.warning("same", "Both are the same field: everything will agree.")
        choices = types.RadioGroup(orientation="vertical")
        choices.add_choice(NOTHING, label="What is shown now")
        for kind in KINDS:
            choices.add_choice(kind, label=WORDS[kind])
        form.inputs.enum("show", choices.values(), label="Afterwards show", default=NOTHING, view=choices)
        return form.property("Evaluate")

    def execute(self, ctx: Any) -> Any:
        names = ("group_field", "ground_truth_field", "run_key")
        options = {**forms.options(ctx, names), "patches_field": forms.patches_field_of(ctx)}
        shown = ctx.params.get("show", NOTHING)

        def work(progress: Any) -> GroupEvaluation:
            return evaluate_groups(ctx.target_view(require_flat=True), progress=progress, **options)

        def also(found: GroupEvaluation) -> Iterator[Any]:
            if shown in found.ids:
                yield ctx.ops.set_view(found.view(shown))

        return execution.execute(
            ctx,
            work,
            title="CCIP could not evaluate the groups",
            results_of=_results,
            outputs_of=_outputs,
            message_of=lambda found: f"CCIP: {_n(found.clicks, 'click')} to clean, ARI {found.metrics.ari:.3f}",
            also=also,
        )

    def resolve_output(self, ctx: Any) -> types.Property:
        return _outputs(ctx.results)

    def __call__(
        self, samples: Any, group_field: str, ground_truth_field: str, *, delegate: bool = False, **options: Any
    ) -> Any:
        """Evaluates from Python; takes what :func:`~ccip_plugin.evaluation.evaluate.evaluate_groups` takes.

        Args:
            samples: a dataset or view
            group_field: the groups
            ground_truth_field: who is who
            delegate (False): schedule it instead, for a worker
            options: those of the function
        """
        if delegate:
            fields = {"group_field": group_field, "ground_truth_field": ground_truth_field}
            return execution.schedule(self.uri, samples, {**fields, **options})
        return evaluate_groups(samples, group_field, ground_truth_field, **options)


def _results(found: GroupEvaluation) -> dict[str, Any]:
    metrics = found.metrics
    facts = [
        ("Clicks to clean", f"{found.clicks:,}: {_n(found.moves, 'move')}, {_n(found.merges, 'merge')}"),
        *((WORDS[kind], len(ids)) for kind, ids in found.ids.items()),
        ("Images with a known character", metrics.n_images),
        ("Left out, as nobody knows", metrics.n_left_out or None),
        ("Left out, as ignored", found.n_ignored or None),
        ("Characters", metrics.n_characters),
        ("In a group", f"{metrics.coverage:.1%}"),
        ("Run", found.run_key),
    ]
    costly = [row for row in found.groups if row.clicks][: ask_names.MOST_ROWS]
    groups = [
        {"Group": str(row.name), "Character": str(row.character), "Images": row.n_images, "Wrong": row.n_wrong}
        | {"Mostly": "" if row.other is None else str(row.other), "Clicks": row.clicks}
        for row in costly
    ]
    characters = [
        {"Character": str(row.name), "Images": row.n_images, "Groups": row.n_groups, "In none": row.n_unassigned}
        | {"Recall": f"{row.recall:.1%}", "Precision": f"{row.precision:.1%}", "Clicks": row.clicks}
        for row in found.characters[: ask_names.MOST_ROWS]
    ]
    return {"facts": outputs.facts(facts), "table": found.table(), "groups": groups, "characters": characters}


def _n(n: int, noun: str) -> str:
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def _outputs(results: dict[str, Any]) -> types.Property:
    shown = types.Object()
    outputs.add_facts(shown, "CCIP: character groups")
    ask_names.add_rows(shown, results, "table", "Metrics, with images in no group as groups of their own, and without")
    ask_names.add_rows(shown, results, "groups", "Groups that cost most")
    ask_names.add_rows(shown, results, "characters", "Characters that cost most")
    return types.Property(shown, view=types.View(label=TITLE))
