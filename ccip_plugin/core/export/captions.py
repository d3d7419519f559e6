"""Captions of training images: trigger word, other characters of the picture, tags; one line, never empty."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from ..errors import ParameterError
from .names import NAMELESS

SEPARATOR = ", "

_DROPPED, _BLANK = ("Cf", "Cs", "Cn"), ("Cc", "Zl", "Zp", "Zs")
_KAOMOJI = frozenset(
    ("0_0", "(o)_(o)", "+_+", "+_-", "._.", "<o>_<o>", "<|>_<|>", "=_=", ">_<", "3_3", "6_9", ">_o", "@_@", "^_^")
) | {"o_o", "u_u", "x_x", "|_|", "||_||"}  # tags that are faces: their underscore is no blank
_WEIGHTS = str.maketrans({"(": r"\(", ")": r"\)", "[": r"\[", "]": r"\]"})
_KOHYA_SEPARATORS = re.compile(r"\|\|\|+|;;;+")
_PLACEHOLDERS = re.compile(r"\[(name|trigger)\]", re.IGNORECASE)


@dataclass(frozen=True)
class CaptionRules:
    """What a caption is made of.

    Attributes:
        trigger (None): the trigger word; the name of the image's character by default
        with_companions (True): name the other characters of the picture after it
        keep (None): the only tags to keep, all by default; ``*`` in a tag matches any characters
        drop: tags to leave out, also of those to keep
        max_tags (None): keep the first ones
        underscores (False): keep the underscores of names and tags, which are blanks by default
        escape_weights (False): write brackets as ``\\(``, for trainers that read weights in captions and are asked to,
            such as kohya's scripts with ``weighted_captions``
    """

    trigger: str | None = None
    with_companions: bool = True
    keep: frozenset[str] | None = None
    drop: frozenset[str] = frozenset()
    max_tags: int | None = None
    underscores: bool = False
    escape_weights: bool = False

    def __post_init__(self) -> None:
        if self.max_tags is not None and self.max_tags < 0:
            raise ParameterError("max_tags", self.max_tags, "None or at least 0")


def caption_of(
    character: str,
    *,
    companions: Sequence[str] = (),
    tags: Sequence[str] = (),
    rules: CaptionRules | None = None,
    escape: Callable[[str, bool], str] | None = None,
) -> str:
    """The caption of an image.

    Args:
        character: the name of its character
        companions: the names of the other characters in the picture
        tags: its tags, such as of Danbooru; the character's own name among them is left out
        rules (None): what the caption is made of, :class:`CaptionRules` as they are by default
        escape (None): how the trainer wants a part written, such as :func:`escaped_for_kohya`: of the part, and whether
            brackets are escaped

    Returns:
        one line of parts joined by ``", "``: the trigger word, companions, tags, each once. Commas, control characters
        and characters without a width within a part are blanks, so that a part stays one
    """
    rules = rules or CaptionRules()
    escape = escape or escaped_plainly
    own = _part(character, rules)
    others = [_part(each, rules) for each in companions] if rules.with_companions else []
    chosen = _chosen(tags, rules, {_compared(each) for each in (own, *others)})
    if rules.trigger is not None and _part(rules.trigger, rules):
        parts = [_part(rules.trigger, rules), *(each for each in others if _compared(each) != _compared(own)), *chosen]
    else:
        parts = [own, *others, *chosen]
    written = {
        _compared(part): part for part in (_one_line(escape(part, rules.escape_weights)) for part in parts[::-1])
    }
    written.pop("", None)
    return SEPARATOR.join(reversed(written.values())) or NAMELESS


def escaped_plainly(part: str, escape_weights: bool = False) -> str:
    """A part of a caption for trainers that give no character a meaning."""
    return part


def escaped_for_kohya(part: str, escape_weights: bool = False) -> str:
    """A part of a caption for kohya's scripts: ``|||`` and ``;;;`` separate what is kept and what is shuffled.

    Args:
        part: a part of a caption
        escape_weights (False): brackets are weights (``weighted_captions``), so escape those of names and tags
    """
    text = _KOHYA_SEPARATORS.sub(" ", part)
    return text.replace("\\", "\\\\").translate(_WEIGHTS) if escape_weights else text


def escaped_for_ai_toolkit(part: str, escape_weights: bool = False) -> str:
    """A part of a caption for ai-toolkit, which replaces ``[trigger]`` and ``[name]`` in captions."""
    return _PLACEHOLDERS.sub(r"(\1)", part)


def _chosen(tags: Iterable[str], rules: CaptionRules, used: set[str]) -> list[str]:
    """The tags that the rules keep, without repetition."""
    keep = None if rules.keep is None else _pattern(rules.keep, rules)
    drop = _pattern(rules.drop, rules)
    chosen, used = [], set(used)
    for tag in tags:
        part = _part(tag, rules)
        name = _compared(part)
        if name in used or drop.fullmatch(name) or (keep is not None and not keep.fullmatch(name)):
            continue
        chosen.append(part)
        used.add(name)
    return chosen if rules.max_tags is None else chosen[: rules.max_tags]


def _pattern(tags: Iterable[str], rules: CaptionRules) -> re.Pattern[str]:
    """Matches the compared form of any of the tags; nothing if there are none."""
    patterns = [".*".join(map(re.escape, _compared(_part(tag, rules)).split("*"))) for tag in sorted(tags)]
    return re.compile("|".join(f"(?:{each})" for each in patterns) or r"(?!)")


def _part(text: str, rules: CaptionRules) -> str:
    """A name or tag as a part of a caption: one line, no comma; empty if nothing is left."""
    kept = (_character(each) for each in unicodedata.normalize("NFC", text))
    part = " ".join("".join(kept).replace(",", " ").replace("\u3001", " ").split())
    return part if rules.underscores or part in _KAOMOJI else " ".join(part.replace("_", " ").split())


def _character(character: str) -> str:
    category = unicodedata.category(character)
    return "" if category in _DROPPED else " " if category in _BLANK else character


def _one_line(part: str) -> str:
    return " ".join(part.split())


def _compared(part: str) -> str:
    """The form in which parts are compared: any case, an underscore is a blank."""
    return " ".join(unicodedata.normalize("NFC", part.casefold()).replace("_", " ").split())
