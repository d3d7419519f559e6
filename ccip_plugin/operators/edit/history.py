"""Operator: what was done, and undo of one of the changes."""

from typing import Any

from fiftyone.operators import types

from ...app import route
from ...app.answers import text_of, whole_dataset
from ...app.ask.groups import ask_group_path, group_arguments, path_arguments
from ...app.counts import n_of
from ...app.forms import Form
from ...app.operator import CCIPOperator
from ...app.outputs import MAX_ROWS, Output
from ...core.options import Choice
from ...labels.history import History, history, last_undone, redo, undo
from .undo import changed_last

_NOTHING, _REDO = "nothing", "redo"
_OFFERED = 20  # changes that the form offers to undo


class ShowHistory(CCIPOperator):
    """Lists the changes and can undo one of them; see :func:`~ccip_plugin.labels.history.undoing.history`."""

    name, label, button = "history", "CCIP: history", "Show the history"
    description = "List what was done to the character groups, when and by whom, and undo a change"
    risk = types.RiskLevel.MEDIUM
    failure = "CCIP could not show the history"
    function = staticmethod(history)
    asks = route.asked(
        path=route.text, group_field=route.text, patches_field=route.text, change=route.text, each=route.switch
    )

    def ask(self, form: Form) -> None:
        if not form.has_dataset():
            return
        path = ask_group_path(form, "There is no history", among=changed_last(form.ctx))
        if path is None:
            return
        changes = history(whole_dataset(form.ctx), **path_arguments(path))
        done = [change for change in changes if change.state in ("done", "set aside")]
        choices = [Choice(_NOTHING, "nothing: show the history")]
        undone = last_undone(form.ctx.dataset, path)
        if undone is not None:
            choices.append(Choice(_REDO, f"redo {undone.number}: {undone}"))
        choices += [Choice(str(change.number), f"{change.number}: {change}") for change in done[:_OFFERED]]
        chosen = form.choose("change", "Undo", choices, default=_NOTHING, is_list=True)
        if chosen == _REDO and undone is not None:
            form.button = f"Redo change {undone.number}"
        elif chosen not in (None, _NOTHING, _REDO):
            form.button = f"Undo change {chosen}"
        if done and chosen not in (None, _NOTHING, _REDO, str(done[0].number)):
            form.hint("alone", "An earlier change is undone alone, if no later one wrote its labels or groups.")
        if changes.n_by_hand:
            n = n_of(changes.n_by_hand, "label")
            form.hint("by_hand", f"Edited by hand since the last change: {n}. The next change records that.")
        form.switch("each", "Show each correction", description="Else those within a minute are one row")

    def samples(self, ctx: Any) -> Any:
        return whole_dataset(ctx)

    def options(self, ctx: Any) -> dict[str, Any]:
        answers = {"change": text_of(ctx, "change") or _NOTHING, "each": bool(ctx.params.get("each"))}
        return {**answers, **group_arguments(ctx, among=changed_last(ctx))}

    def call(self, samples: Any, progress: Any, **options: Any) -> Any:
        change, each = options.pop("change", _NOTHING), options.pop("each", False)
        done = None
        if change == _REDO:
            done = redo(samples, progress=progress, **options)
        elif change != _NOTHING:
            number = int(change) if change.isdecimal() else 0
            done = undo(samples, number=number, progress=progress, **options)
        return done, history(samples, **options), each

    def show(self, report: Any, out: Output) -> None:
        done, changes, each = report
        if done is None:
            out.pairs(*_said(changes), "CCIP: history")
        else:
            out.facts(done.facts(), "CCIP: character groups")
        _show_rows(changes, out, each=each)


def _said(changes: History) -> tuple[str, list[tuple[str, object]]]:
    n = n_of(changes.n_by_hand, "label") if changes.n_by_hand else None
    by_hand: tuple[str, object] = ("Edited by hand since then, recorded with the next change", n)
    if changes:
        return n_of(len(changes), "change"), [by_hand]
    waiting = f"; {n} edited by hand, recorded with the next change" if n else ""
    return f"no change of these groups is kept{waiting}", [("Changes", "none is kept"), by_hand]


def _show_rows(changes: History, out: Output, *, each: bool) -> None:
    rows = [row.cells() for row in changes.rows(each=each)]
    more = f", the newest {MAX_ROWS} of {len(rows):,} rows" if len(rows) > MAX_ROWS else ""
    out.table("history", f"History{more}", rows[:MAX_ROWS])
    problems = [{"problem": change.problem_text} for change in changes[:MAX_ROWS] if change.problem_text]
    out.table("problems", "What could not be written", problems)
