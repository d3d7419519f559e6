"""Operator: what DBSCAN would give for each eps, as a plot."""

from typing import Any

import fiftyone.operators as foo
from fiftyone.operators import types

from ...app import ask_embeddings, execution, forms, outputs
from ...evaluation.exploration import Exploration, explore_parameters
from ...storage.fields import EMBEDDINGS_FIELD

TITLE = "CCIP: explore eps"


class ExploreParameters(execution.FunctionOperator):
    """Shows groups against eps; see :func:`~ccip_plugin.evaluation.exploration.explore_parameters`. Writes nothing."""

    function = staticmethod(explore_parameters)

    @property
    def config(self) -> foo.OperatorConfig:
        return foo.OperatorConfig(
            name="explore_parameters",
            label=TITLE,
            description="See how many character groups DBSCAN would find for each eps, before anything is grouped",
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
        if target is not None and ask_embeddings.ask(form, target) is not None:
            form.hint(
                "cost",
                "The first time, all images are compared with all; what was found is kept on this machine, so that "
                "this and a grouping with another eps then take seconds.",
            )
        return form.property("Explore")

    def execute(self, ctx: Any) -> Any:
        def work(progress: Any) -> Exploration:
            return explore_parameters(
                ctx.target_view(require_flat=True),
                patches_field=forms.patches_field_of(ctx),
                embeddings_field=forms.text_of(ctx, "embeddings_field", EMBEDDINGS_FIELD) or EMBEDDINGS_FIELD,
                progress=progress,
                **forms.options(ctx, ("group_field", "max_eps", "graph", "model_dir")),
            )

        return execution.execute(
            ctx,
            work,
            title="CCIP could not compare the images",
            results_of=_results,
            outputs_of=_outputs,
            is_clean=lambda found: not found.warnings,
            message_of=lambda found: f"CCIP: compared {found.sweep.n:,} images",
        )

    def resolve_output(self, ctx: Any) -> types.Property:
        return _outputs(ctx.results)


def _results(found: Exploration) -> dict[str, Any]:
    figure = found.figure()
    stable, safe = found.plateau, found.safe_eps
    pairs = [
        ("Images compared", found.sweep.n),
        ("Without embedding", found.n_without_embedding or None),
        ("Stable stretch of eps", None if stable is None else f"{stable[0]:.4f} to {stable[1]:.4f}"),
        ("No chain of groups up to eps", None if safe is None else f"{safe:.4f}"),
        *((f"With eps {row['eps']:.4f} ({row['name']})", _in_words(row)) for row in found.rows()),
        ("Model", found.model_name),
    ]
    return {
        "plot": figure["data"],
        "layout": figure["layout"],
        "facts": outputs.facts(pairs),
        "warnings": list(found.warnings),
    }


def _in_words(row: dict[str, Any]) -> str:
    return (
        f"{row['n_groups']:,} groups, {row['unassigned']:.0%} of the images in none, "
        f"{row['largest']:.1%} in the largest"
    )


def _outputs(results: dict[str, Any]) -> types.Property:
    shown = types.Object()
    outputs.add_warnings(shown, results.get("warnings") or ())
    layout = results.get("layout") or {}
    shown.plot("plot", label="DBSCAN, two images and more", layout=layout, height=layout.get("height", 360))
    outputs.add_facts(shown, "CCIP: what eps would give")
    return types.Property(shown, view=types.View(label=TITLE))
