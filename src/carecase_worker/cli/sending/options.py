"""Groups of options: one dataclass instead of many parameters of a command."""

import inspect
from collections.abc import Callable
from dataclasses import fields
from functools import wraps
from typing import Any, TypeAlias, get_type_hints

Command: TypeAlias = Callable[..., None]


def with_options(group: type[Any]) -> Callable[[Command], Command]:
    """Replace a command's parameter of the type `group`, a dataclass, by an option for each of its fields."""

    def expand(command: Command) -> Command:
        signature = inspect.signature(command, eval_str=True)
        own = [one for one in signature.parameters.values() if one.annotation is not group]
        (name,) = (one.name for one in signature.parameters.values() if one.annotation is group)
        hints = get_type_hints(group, include_extras=True)

        @wraps(command)
        def called(*arguments: Any, **given: Any) -> None:
            options = group(**{field.name: given.pop(field.name) for field in fields(group)})
            command(*arguments, **given, **{name: options})

        options = [
            inspect.Parameter(
                field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=hints[field.name]
            )
            for field in fields(group)
        ]
        called.__signature__ = signature.replace(parameters=[*own, *options])  # type: ignore[attr-defined]
        return called

    return expand
