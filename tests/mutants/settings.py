"""Mistakes in the defaults of settings: twice the number, another of the words that are allowed."""

import libcst as cst
import libcst.matchers as m
from tests.mutants.operators import Pairs, Pieces

_PLACES = ("src/carecase_worker/settings/model.py", "src/carecase_worker/settings/sections/")
_FIELD = m.Call(func=m.Name("Field"))
_SECONDS = m.Call(func=m.Name("seconds_setting"))
_CHOICE = m.Annotation(annotation=m.Subscript(value=m.Name("Literal")))


def defines_settings(path: str) -> bool:
    """Tell whether a file defines settings."""
    return path.startswith(_PLACES)


def doubled(node: cst.Call) -> Pieces:
    """Twice the default."""
    place = 0 if m.matches(node, _FIELD) else 1 if m.matches(node, _SECONDS) else None
    if place is None or len(node.args) <= place or node.args[place].keyword is not None:
        return
    default = node.args[place].value
    if m.matches(default, m.Integer() | m.Float() | m.BinaryOperation()):
        yield default, "({}) * 2"


def other_choice(node: cst.AnnAssign) -> Pieces:
    """Another word of a closed set."""
    if m.matches(node, m.AnnAssign(annotation=_CHOICE, value=_FIELD)):
        default = cst.ensure_type(node.value, cst.Call).args[0].value
        choices = m.findall(node.annotation, m.SimpleString())
        yield from ((default, choice.value) for choice in choices if not choice.deep_equals(default))  # type: ignore[attr-defined]


PIECES: Pairs = ((cst.Call, doubled), (cst.AnnAssign, other_choice))
