"""The house rule for docstrings of the package and of the tools that come with the tests."""

import ast
import re
from collections.abc import Iterator

_QUESTION = re.compile(r"(?:what|who|whose|which|where|whether|how|when|why)\b", re.IGNORECASE)
BEGIN = "begin a function's in the imperative, a class's or module's with a noun"


def questions(tree: ast.Module) -> Iterator[str]:
    """Yield each docstring of a module that begins with a question word: its line, and its beginning."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node) or ""
            if _QUESTION.match(text):
                yield f"{getattr(node, 'lineno', 1)}: {text[:80]}"
