"""The house rule for docstrings of the package and of the tools that come with the tests."""

import ast
import re
from collections.abc import Iterator

_QUESTION = re.compile(r"(?:what|who|whose|which|where|whether|how|when|why)\b", re.IGNORECASE)
BEGIN = "begin a function's in the imperative, a class's or module's with a noun"


def questions(tree: ast.Module) -> Iterator[str]:
    """Yield each docstring of a module, also of a name, that begins with a question word: line, and beginning."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            text = node.value.value.strip()
            if _QUESTION.match(text):
                yield f"{node.lineno}: {text[:80]}"
