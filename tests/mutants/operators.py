"""Operators for Python that mutmut lacks: a row, a guard or a step left out, a condition turned round.

Each gives, for a node, pieces of it and what stands there instead; `{}` is the piece itself.
"""

import re
from collections.abc import Callable, Iterator
from types import UnionType
from typing import Any, TypeAlias

import libcst as cst
import libcst.matchers as m

Pieces: TypeAlias = Iterator[tuple[cst.CSTNode, str]]

_WORD = re.compile(r"\S*\w\S*")
_ELSEWHERE = m.Assign(targets=[m.AssignTarget(target=m.Attribute() | m.Subscript())])
_TURNED_ROUND = (
    m.Name("True")
    | m.UnaryOperation(operator=m.Not())
    | m.Comparison(
        comparisons=[m.ComparisonTarget(operator=m.Equal() | m.NotEqual() | m.Is() | m.IsNot() | m.In() | m.NotIn())]
    )
)
_OTHER_NAMES = {"min": "max", "max": "min", "any": "all", "all": "any"}


def word(node: cst.SimpleString | cst.FormattedStringText) -> Pieces:
    """Another text, where it is one word: a name, a key, a code. How a sentence is worded is no behaviour."""
    if isinstance(node, cst.FormattedStringText):
        if _WORD.fullmatch(node.value):
            yield node, "XX{}"
    elif _WORD.fullmatch(node.value.strip(node.prefix + node.quote)):
        at = len(node.prefix + node.quote)
        yield node, f"{node.value[:at]}XX{node.value[at:]}".replace("{", "{{").replace("}", "}}")


def condition(node: cst.If | cst.While | cst.CompIf) -> Pieces:
    """A condition the other way round; mutmut does it where the condition has an operator for that."""
    if not m.matches(node.test, _TURNED_ROUND):
        yield node.test, "not ({})"


def removed(node: cst.CSTNode) -> Pieces:
    """Leave out a statement that is there for what it does."""
    if not m.matches(node, m.Expr(value=m.Yield())):
        yield node, "pass"


def assigned_elsewhere(node: cst.Assign) -> Pieces:
    """Leave out the assignment to an attribute or an element."""
    if m.matches(node, _ELSEWHERE):
        yield node, "pass"


def returned(node: cst.Return) -> Pieces:
    """Nothing for an answer."""
    if node.value is not None and not m.matches(node.value, m.Name("None")):
        yield node.value, "None"


def uncaught(node: cst.ExceptHandler) -> Pieces:
    """Nothing is caught."""
    if node.type is not None:
        yield node.type, "()"


def no_turn(node: cst.For) -> Pieces:
    """A loop without a turn."""
    if node.asynchronous is None:
        yield node.iter, "()"


def undecorated(node: cst.Decorator) -> Pieces:
    """No decorator."""
    yield node, ""


def other_name(node: cst.Call) -> Pieces:
    """The function that is easily taken for this one."""
    if isinstance(node.func, cst.Name) and node.func.value in _OTHER_NAMES:
        yield node.func, _OTHER_NAMES[node.func.value]


Pairs: TypeAlias = tuple[tuple[type | UnionType, Callable[[Any], Pieces]], ...]

PIECES: Pairs = (
    (cst.SimpleString | cst.FormattedStringText, word),
    (cst.If | cst.While | cst.CompIf, condition),
    (cst.Expr | cst.AugAssign | cst.Raise | cst.Del, removed),
    (cst.Assign, assigned_elsewhere),
    (cst.Return, returned),
    (cst.ExceptHandler, uncaught),
    (cst.For, no_turn),
    (cst.Decorator, undecorated),
    (cst.Call, other_name),
)


def fewer_elements(node: cst.Tuple | cst.List | cst.Set | cst.Dict) -> Iterator[cst.CSTNode]:
    """A table with a row less."""
    if len(node.elements) > 1:
        for i in range(len(node.elements)):
            yield node.with_changes(elements=[*node.elements[:i], *node.elements[i + 1 :]])
