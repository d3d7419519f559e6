"""Operator: threshold and parameters that fit the images of a dataset."""

import math
from typing import Any

import fiftyone.operators as foo
from fiftyone.operators import types

from ...app import ask_embeddings, ask_names, execution, forms, outputs
from ...core.evaluation.jackknife import Interval
from ...evaluation.calibration import calibrate
from ...grouping.calibrated import Calibrated
from ...storage.fields import EMBEDDINGS_FIELD, GROUP_FIELD

TITLE = "CCIP: calibrate"
CONFIRMED, TRUTH = "confirmed", "truth"


class Calibrate(execution.FunctionOperator):
    """Recommends parameters; see :func:`~ccip_plugin.evaluation.calibration.calibrate`."""

    function = staticmethod(calibrate)

    @property
    def config(self) -> foo.OperatorConfig:
        return foo.OperatorConfig(
            name="calibrate",
            label=TITLE,
            description="Find the threshold, eps and min_samples that fit these images, from what people have decided",
            **forms.ICONS,
            dynamic=True,
            execute_as_generator=True,
            allow_immediate_execution=True,
            allow_delegated_execution=True,
            risk_level=types.RiskLevel.MEDIUM,
        )

    def resolve_input(self, ctx: Any) -> types.Property:
        form = forms.Form(ctx, TITLE)
        target = form.target("Calibrate on")
        if target is None or ask_embeddings.ask(form, target) is None:
            return form.property()
        choices = types.RadioGroup(orientation="vertical")
        choices.add_choice(CONFIRMED, label="Groups that people confirmed")
        choices.add_choice(TRUTH, label="A field that says who is who")
        form.inputs.enum(
            "evidence",
            choices.values(),
            label="Learn from answers about pairs, and from",
            default=CONFIRMED,
            view=choices,
        )
        if ctx.params.get("evidence") == TRUTH:
            ask_names.ask_for_names(form, target, "ground_truth_field", "Who is who is in the field")
        form.inputs.str(
            "group_field", label="Groups, and what was rejected from them, in the field", default=GROUP_FIELD
        )
        return form.property("Calibrate")

    def execute(self, ctx: Any) -> Any:
        names = ["group_field", "embeddings_field", "model_dir"]
        if ctx.params.get("evidence", TRUTH) == TRUTH:
            names.append("ground_truth_field")
        options = {**forms.options(ctx, names), "patches_field": forms.patches_field_of(ctx)}
        options.setdefault("embeddings_field", EMBEDDINGS_FIELD)

        def work(progress: Any) -> Calibrated:
            return calibrate(ctx.target_view(require_flat=True), progress=progress, **options)

        return execution.execute(
            ctx,
            work,
            title="CCIP could not calibrate",
            results_of=_results,
            outputs_of=_outputs,
            is_clean=lambda found: found.is_enough,
            message_of=lambda found: f"CCIP: threshold {found.recommendation.threshold:.4f}",
        )

    def resolve_output(self, ctx: Any) -> types.Property:
        return _outputs(ctx.results)


def _results(made: Calibrated) -> dict[str, Any]:
    found = made.recommendation
    facts = [
        ("Threshold", f"{found.threshold:.4f}{_likely(found.interval, ', likely ')}"),
        ("F1 with it", f"{found.f1:.4f}"),
        ("F1 with the published threshold", f"{found.published_f1:.4f} ({made.published_threshold:.4f})"),
        ("Learned from", made.learned_from),
        ("Model", made.model_name),
        ("Run", made.run_key),
    ]
    methods = [
        {
            "Method": name,
            "eps": f"{each.eps:.4f}",
            "likely": _likely(each.interval),
            "min_samples": each.min_samples,
            "Adjusted Rand index": _number(each.score),
            "with the published threshold": _number(each.published),
        }
        for name, each in found.methods.items()
    ]
    warnings = [f"The evidence is too thin to rely on this: {problem}." for problem in found.thin]
    return {"facts": outputs.facts(facts), "methods": methods, "warnings": warnings}


def _likely(found: Interval, before: str = "") -> str:
    return f"{before}{found.low:.4f} to {found.high:.4f}" if math.isfinite(found.width) else ""


def _number(value: float) -> str:
    return f"{value:.4f}" if math.isfinite(value) else ""


def _outputs(results: dict[str, Any]) -> types.Property:
    shown = types.Object()
    outputs.add_warnings(shown, results.get("warnings") or ())
    outputs.add_facts(shown, "CCIP: calibration")
    ask_names.add_rows(shown, results, "methods", "Parameters that fit")
    return types.Property(shown, view=types.View(label=TITLE))
