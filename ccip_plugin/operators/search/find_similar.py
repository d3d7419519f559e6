"""Operator: the images, or detections, that are most alike to others."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fiftyone.operators as foo
from fiftyone.operators import types

from ...app import ask_embeddings, execution, forms, outputs, selection, upload
from ...labels.store import LabelStore
from ...search.similar import COMBINE, LIMIT, MEAN, Similar, field_problem, find_similar
from ...storage.fields import EMBEDDINGS_FIELD, GROUP_FIELD, UNASSIGNED
from ...storage.targets import Target, resolve

TITLE = "CCIP: find similar"
TICKED, GROUP, UPLOAD = "ticked", "group", "upload"
FIELD = "ccip_difference"
ICON = "/assets/ccip-find.svg"
FILES = ".png,.jpg,.jpeg,.webp,.gif,.bmp,.tif,.tiff,.avif"
N_ROWS = 20
MANY_GROUPS = 1000
WORDS = {"mean": "to all of them, on average", "nearest": "to any of them"}


class FindSimilar(foo.Operator):
    """Shows what is alike; see :func:`~ccip_plugin.search.similar.find_similar`."""

    @property
    def config(self) -> foo.OperatorConfig:
        return foo.OperatorConfig(
            name="find_similar",
            label=TITLE,
            description="Show the images, or detections, most alike to ticked ones, to a character group or to a file",
            **forms.AT_ONCE,
            risk_level=types.RiskLevel.MEDIUM,
        )

    def resolve_placement(self, ctx: Any) -> types.Placement:
        button = types.Button(label=TITLE, icon=ICON, prompt=True)
        return types.Placement(types.Places.SAMPLES_GRID_SECONDARY_ACTIONS, button)

    def resolve_input(self, ctx: Any) -> types.Property:
        form = forms.Form(ctx, TITLE)
        target = form.target("Search")
        found = ask_embeddings.ask(form, target, without="cannot be found") if target is not None else None
        if target is not None and found is not None:
            _ask_for_query(form, target)
            _ask_for_rest(form, target, found[2].threshold)
        return form.property("Find")

    def execute(self, ctx: Any) -> Any:
        def work(progress: Any) -> Similar:
            samples = ctx.target_view(require_flat=True)
            return find_similar(samples, progress=progress, **_options(ctx, samples))

        return execution.execute(
            ctx,
            work,
            title="CCIP could not find similar images",
            results_of=_results,
            outputs_of=_outputs,
            is_clean=lambda found: bool(found.ids),
            has_changed=lambda found: found.difference_field is not None,
            also=lambda found: _show(ctx, found),
            message_of=lambda found: f"CCIP: {found.facts().headline}",
        )

    def resolve_output(self, ctx: Any) -> types.Property:
        return _outputs(ctx.results)

    def __call__(self, samples: Any, **options: Any) -> Similar:
        """Finds from Python; takes what :func:`~ccip_plugin.search.similar.find_similar` takes."""
        return find_similar(samples, **options)


def _ask_for_query(form: forms.Form, target: Target) -> None:
    """Asks for what is looked for, unless a script has named it."""
    if _is_named(form.ctx):
        return
    chosen = selection.ids(form.ctx, target)
    noun = "patches or boxes" if target.is_patches else "tiles"
    choices = types.RadioGroup(orientation="vertical")
    choices.add_choice(TICKED, label=f"Ticked {noun} ({len(chosen):,})", description="also the image that is opened")
    choices.add_choice(GROUP, label="A character group")
    choices.add_choice(UPLOAD, label="An image file", description="of one character; it need not be in the dataset")
    answer = _kind_of_query(form.ctx, chosen)
    form.inputs.enum("look_for", choices.values(), label="Look for what is alike to", default=answer, view=choices)
    if answer == GROUP:
        _ask_for_group(form, target)
    elif answer == UPLOAD:
        _ask_for_upload(form)
    elif not chosen:
        form.error("ticked", _how_to_tick(target))
    if answer == GROUP or (answer == TICKED and len(chosen) > 1):
        how = types.RadioGroup()
        for name in COMBINE:
            how.add_choice(name, label=WORDS[name])
        form.inputs.enum("combine", how.values(), label="Alike", default=MEAN, view=how)


def _is_named(ctx: Any) -> bool:
    return bool(ctx.params.get("ids") or ctx.params.get("images"))


def _kind_of_query(ctx: Any, chosen: list[str]) -> str:
    """What is looked for: as it was answered, else by what there is."""
    if answer := ctx.params.get("look_for"):
        return answer
    if ctx.params.get("group"):
        return GROUP
    return TICKED if chosen and not ctx.params.get("image") else UPLOAD


def _how_to_tick(target: Target) -> str:
    if target.is_patches:
        return (
            f"No detection is ticked: show the patches of {target.patches_field!r} and tick some, or click boxes in an "
            "opened image."
        )
    return "No image is ticked: tick one tile or several."


def _ask_for_group(form: forms.Form, target: Target) -> None:
    field = forms.text_of(form.ctx, "group_field", GROUP_FIELD) or GROUP_FIELD
    path = LabelStore(target, field).attribute_path("label")
    if target.dataset.get_field(path) is None:
        form.error("group", f"There are no character groups in {field!r} yet. Run 'CCIP: group by character' first.")
        return
    names: list[str] = forms.remembered(target.whole(), f"names {path}", lambda: target.dataset.distinct(path))
    choices = types.AutocompleteView(allow_user_input=True)
    for name in [name for name in names if name and name != UNASSIGNED][:MANY_GROUPS]:
        choices.add_choice(name, label=name)
    asked = form.inputs.str("group", label="Character group", required=True, view=choices)
    chosen = form.ctx.params.get("group")
    if chosen and chosen not in names:
        asked.invalid, asked.error_message = True, f"There is no character group {chosen!r}"


def _ask_for_upload(form: forms.Form) -> None:
    view = types.FileView(max_size=upload.MAX_BYTES, types=FILES, lite=True)
    asked = form.inputs.uploaded_file("image", label="Image file", required=True, view=view)
    sent = form.ctx.params.get("image")
    if sent and (problem := upload.problem_with(sent)):
        asked.invalid, asked.error_message = True, problem


def _ask_for_rest(form: forms.Form, target: Target, threshold: float) -> None:
    asked = form.inputs.int("limit", label="Show at most", default=LIMIT, view=types.TextFieldView(space=6))
    limit = forms.number_of(form.ctx, "limit")
    if limit is not None and not (isinstance(limit, int | float) and limit == int(limit) and limit >= 1):
        asked.invalid, asked.error_message = True, "A whole number, 1 or more"
    label = f"Only the same character (difference up to {threshold:.4f})"
    form.inputs.bool("only_same", label=label, default=False)
    form.inputs.bool(
        "is_written",
        label="Write the differences into a field",
        description="Without it nothing is written; the differences are listed when it is done",
        default=False,
    )
    if not form.ctx.params.get("is_written"):
        return
    described = "An attribute of each detection" if target.is_patches else "A field of each image"
    named = form.inputs.str("difference_field", label="Field", description=described, default=FIELD)
    name = forms.text_of(form.ctx, "difference_field", FIELD) or FIELD
    if problem := field_problem(target, name):
        named.invalid, named.error_message = True, problem[:1].upper() + problem[1:]


def _options(ctx: Any, samples: Any) -> dict[str, Any]:
    """The arguments of the function; a script may give them by the names that they have there."""
    names = ("combine", "only_same", "threshold", "model_dir", "revision", "provider", "max_pixels", "ids", "images")
    options = forms.options(ctx, names)
    limit = forms.number_of(ctx, "limit")
    options["limit"] = LIMIT if limit is None else int(limit)
    options["embeddings_field"] = forms.text_of(ctx, "embeddings_field", EMBEDDINGS_FIELD)
    options["group_field"] = forms.text_of(ctx, "group_field", GROUP_FIELD)
    options["patches_field"] = forms.patches_field_of(ctx)
    if ctx.params.get("is_written", "difference_field" in ctx.params):
        options["difference_field"] = forms.text_of(ctx, "difference_field", FIELD)
    return options | _query(ctx, samples, options["patches_field"])


def _query(ctx: Any, samples: Any, patches_field: str | None) -> dict[str, Any]:
    """What is looked for, as the form asks it."""
    if _is_named(ctx):
        return {}
    chosen = selection.ids(ctx, resolve(samples, patches_field))
    kind = _kind_of_query(ctx, chosen)
    if kind == UPLOAD:
        return {"images": upload.content(ctx.params.get("image"))}
    return {"group": ctx.params.get("group")} if kind == GROUP else {"ids": chosen}


def _show(ctx: Any, found: Similar) -> Iterator[Any]:
    """Lets the App show what was found."""
    if found.ids:
        yield ctx.ops.clear_selected_samples()
        yield ctx.ops.set_view(view=found.view)


def _results(found: Similar) -> dict[str, Any]:
    several = f"{found.n_queries:,} ({WORDS[found.combine]})" if found.n_queries > 1 else "1"
    pairs = [
        ("Found", f"{len(found.ids):,}, the most alike first"),
        ("Compared with", several),
        (f"The same character, of all {found.n_searched:,} {found.target.noun}", found.n_within),
        ("Same character up to", f"a difference of {found.threshold:.4f}"),
        ("Could not be searched, without embedding", found.n_missing or None),
        ("Written into the field", found.difference_field),
        ("Model", found.model_name),
    ]
    return {"facts": outputs.facts(pairs), "found": _rows(found)}


def _rows(found: Similar) -> list[dict[str, Any]]:
    """The most alike ones."""
    ids = found.ids[:N_ROWS]
    names = outputs.filepaths(found.target.dataset, ids, found.target.patches_field) if ids else {}
    return [
        {
            "image": Path(names.get(key, key)).name,
            "difference": f"{apart:.4f}",
            "verdict": "same character" if apart <= found.threshold else "",
        }
        for key, apart in zip(ids, found.differences.astype(float), strict=False)
    ]


def _outputs(results: dict[str, Any]) -> types.Property:
    shown = types.Object()
    outputs.add_facts(shown, "CCIP: what is alike")
    if results.get("found"):
        columns = {"image": "Image", "difference": "Difference", "verdict": "Verdict"}
        outputs.add_table(shown, "found", columns, f"The first {len(results['found'])}")
    return types.Property(shown, view=types.View(label=TITLE))
