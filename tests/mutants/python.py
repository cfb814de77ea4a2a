"""The mutants of a Python module: the operators of mutmut, and some of our own, wherever a mistake can be noticed."""

from collections.abc import Iterable, Iterator, Mapping

import libcst as cst
import libcst.matchers as m
from libcst.metadata import (
    CodePosition,
    CodeRange,
    MetadataWrapper,
    PositionProvider,
    WhitespaceInclusivePositionProvider,
)
from mutmut.mutation.mutators import mutation_operators, operator_match, operator_string
from tests.mutants import settings, sql
from tests.mutants.mutant import Mutant, exchange
from tests.mutants.operators import PIECES, fewer_elements

_NODES = [pair for pair in mutation_operators if pair[1] not in (operator_string, operator_match)]
_NODES += [(kind, fewer_elements) for kind in (cst.Tuple, cst.List, cst.Set, cst.Dict)]
_NEVER = m.Call(func=m.Name("NewType") | m.Name("TypeVar") | m.Name("assert_never"))
_SKIPPED: Mapping[type, m.BaseMatcherNode] = {
    cst.Annotation: m.Annotation(),
    cst.Import: m.Import(),
    cst.ImportFrom: m.ImportFrom(),
    cst.AnnAssign: m.AnnAssign(annotation=m.Annotation(m.Name("TypeAlias"))),
    cst.If: m.If(test=m.Name("TYPE_CHECKING")),
    cst.Decorator: m.Decorator(m.Name("overload") | m.Name("dataclass") | m.Call(func=m.Name("dataclass"))),
    cst.Assign: m.Assign(targets=[m.AssignTarget(m.Name("__all__"))]) | m.Assign(value=_NEVER),
    cst.Expr: m.Expr(m.SimpleString() | m.ConcatenatedString() | m.Ellipsis() | _NEVER),
}
"""Nobody who runs the program can notice these; docs/mutants.md argues each."""
_CAST = m.Call(func=m.Name("cast"))
_ZIP = m.Call(func=m.Name("zip"))


def mutants_of(path: str, text: str) -> list[Mutant]:
    """Every mutant of a module, in the order of the text."""
    visitor = _Visitor(path, text)
    MetadataWrapper(cst.parse_module(text), unsafe_skip_copy=True).visit(visitor)
    found = {(mutant.start, mutant.end, mutant.instead): mutant for mutant in visitor.found}
    return [found[place] for place in sorted(found)]


class _Visitor(cst.CSTVisitor):
    """A walk over a module."""

    METADATA_DEPENDENCIES = (PositionProvider, WhitespaceInclusivePositionProvider)

    def __init__(self, path: str, text: str) -> None:
        super().__init__()
        self.found: list[Mutant] = []
        self._path, self._text = path, text
        self._operators = (*PIECES, *settings.PIECES) if settings.defines_settings(path) else PIECES
        self._starts = [0]
        for line in text.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))

    def on_visit(self, node: cst.CSTNode) -> bool:
        """Collect the mutants of a node; go on to its parts unless nobody can notice them."""
        skipped = _SKIPPED.get(type(node))
        if skipped is not None and m.matches(node, skipped):
            return False
        if isinstance(node, cst.Call) and m.matches(node, _CAST):
            node.args[1].visit(self)
            return False
        if isinstance(node, cst.Call) and m.matches(node, _ZIP):
            for argument in node.args:
                if argument.keyword is None:  # `strict` states that the lengths are equal
                    argument.visit(self)
            return False
        if isinstance(node, cst.SimpleString | cst.FormattedStringText) and self._is_sql(node):
            self._exchange_in(node)
            return False
        for kind, operator in self._operators:
            if isinstance(node, kind):
                self._exchange_pieces(operator(node), operator.__name__)
        for kind, changes in _NODES:
            if isinstance(node, kind):
                self._exchange_node(node, changes(node), changes.__name__.removeprefix("operator_"))
        return not isinstance(node, cst.AssignTarget)

    def _is_sql(self, node: cst.SimpleString | cst.FormattedStringText) -> bool:
        return "/targets/" in self._path and sql.is_sql(node.value)

    def _exchange_in(self, node: cst.SimpleString | cst.FormattedStringText) -> None:
        begin, _ = self._span(PositionProvider, node)
        for start, end, instead, kind in sql.exchanges(node.value):
            self._add((begin + start, begin + end), instead, kind)

    def _exchange_pieces(self, pieces: Iterator[tuple[cst.CSTNode, str]], kind: str) -> None:
        for piece, instead in pieces:
            start, end = self._span(PositionProvider, piece)
            self._add((start, end), instead.format(self._text[start:end]), kind)

    def _exchange_node(self, node: cst.CSTNode, others: Iterable[cst.CSTNode], kind: str) -> None:
        instead = [_code(other) for other in others]
        if instead:
            start, end = self._span(WhitespaceInclusivePositionProvider, node)
            indent = _indent(_code(node), self._text[start:end])
            for code in instead:
                self._add((start, end), code.replace("\n", "\n" + indent), kind)

    def _add(self, span: tuple[int, int], instead: str, kind: str) -> None:
        mutant = exchange(self._path, self._text, span, instead, kind)
        if mutant.instead or mutant.start != mutant.end:
            self.found.append(mutant)

    def _span(self, provider: type, node: cst.CSTNode) -> tuple[int, int]:
        span: CodeRange = self.get_metadata(provider, node)
        return self._offset(span.start), self._offset(span.end)

    def _offset(self, position: CodePosition) -> int:
        return self._starts[position.line - 1] + position.column


def _code(node: cst.CSTNode) -> str:
    return cst.Module([]).code_for_node(node)


def _indent(code: str, source: str) -> str:
    """The blanks that a node's further lines have in the source, and not in what is made of the node alone."""
    return next((" " * n for n in range(0, 24, 4) if code.replace("\n", "\n" + " " * n) == source), "")
