"""Overlay of the environment over the file's settings, and detection of secrets in that file."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from carecase_worker.settings.places import (
    LISTS,
    NAMED,
    PLAIN,
    PREFIX,
    Place,
    closest,
    leaves_of,
    secret_leaves,
    sections,
    variable_of,
)
from carecase_worker.settings.urls.target_parameters import secret_parameters


@dataclass(frozen=True, slots=True)
class Overlay:
    """The environment variable of each overlaid setting, and the mistakes in variables."""

    variables: dict[Place, str] = field(default_factory=dict)
    mistakes: list[str] = field(default_factory=list)


def overlay(tree: dict[str, Any], variables: Mapping[str, str]) -> Overlay:
    """Overlay the environment over the settings of the file, in place in `tree`."""
    done = Overlay()
    for variable, value in sorted(variables.items()):
        found = _place(variable, tree)
        if found is None:
            done.mistakes.append(f"{variable}: no such setting{_nearest_variable(variable, tree)}")
            continue
        place, from_file = found
        if rivals := _rivals(place, tree):
            done.mistakes.append(f"{variable}: could be of {' or '.join(rivals)}; rename all but one")
            continue
        if place in done.variables:
            done.mistakes.append(f"{variable}: {done.variables[place]} is set already; set one of them")
            continue
        done.variables[place] = variable
        try:
            _put(tree, place, _value_of(value, place, from_file))
        except ValueError as error:
            done.mistakes.append(f"{variable}: {error}")
    return done


def secrets_in_file(tree: Mapping[str, Any]) -> Iterator[str]:
    """Yield a mistake for each secret in the TOML file."""
    for section, model, values in sections(tree):
        for leaf in sorted(secret_leaves(model)):
            value = values.get(leaf) if isinstance(values, dict) else None
            if value is None or ("url" in leaf and not _has_password(value)):
                continue
            place = (*section, leaf)
            variable = variable_of(place)
            advice = f"set {variable}, or {variable}_FILE to a file with it"
            yield f"{'.'.join(place)}: a secret does not belong in the file; {advice}"


def _has_password(url: object) -> bool:
    if not isinstance(url, str):
        return False
    try:
        return bool(urlsplit(url).password or secret_parameters(url))
    except ValueError:
        return "@" in url


def _value_of(value: str, place: Place, from_file: bool) -> str | list[str]:
    """Return the value of a variable, or the content of the named file. Raises ValueError."""
    try:
        text = Path(value.strip()).read_text("utf-8") if from_file else value
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ValueError(f"the file it names cannot be read ({reason})") from None
    leaf = place[-1]
    # a newline at the end is not part of a password; other white space may be
    text = text.strip("\r\n") if leaf.endswith(("password", "secret")) else text.strip()
    if leaf in LISTS:
        return [part.strip() for part in text.split(",") if part.strip()]
    if not text:
        raise ValueError("the file it names is empty" if from_file else "is empty; give it a value, or leave it unset")
    return text


def _put(tree: dict[str, Any], place: Place, value: str | list[str]) -> None:
    """Set a value in the tree; the model later refuses a section that is not a table."""
    *parents, leaf = place
    branch: Any = tree
    for parent in parents:
        if not isinstance(branch, dict):
            return
        branch = branch.setdefault(parent, {})
    if isinstance(branch, dict):
        branch[leaf] = value


def _place(variable: str, tree: Mapping[str, Any]) -> tuple[Place, bool] | None:
    """Return the place of a variable's setting, and whether it names a file with the value; None if unknown."""
    for section, model in PLAIN.items():
        for leaf, _ in leaves_of(model):
            known = variable_of((section, leaf))
            if variable == known:
                return (section, leaf), False
            if variable == f"{known}_FILE" and leaf in secret_leaves(model):
                return (section, leaf), True
    return _named_place(variable, tree)


def _named_place(variable: str, tree: Mapping[str, Any]) -> tuple[Place, bool] | None:
    for section, model in NAMED.items():
        for leaf, _ in sorted(leaves_of(model), key=lambda pair: -len(pair[0])):
            for suffix in ("_FILE", "") if leaf in secret_leaves(model) else ("",):
                match = re.fullmatch(f"{PREFIX}{section.upper()}_(.+)_{leaf.upper()}{suffix}", variable)
                if match:
                    table = tree.get(section, {})
                    table = table if isinstance(table, dict) else {}
                    names = {variable_of((name,)).removeprefix(PREFIX): name for name in table}
                    return (section, names.get(match[1], match[1].lower()), leaf), bool(suffix)
    return None


def _rivals(place: Place, tree: Mapping[str, Any]) -> list[str]:
    """Return the places in the file that a variable could be of, if there are several."""
    section, name, *_ = place
    table = tree.get(section) if section in NAMED else None
    names = table if isinstance(table, dict) else {}
    same = [one for one in names if variable_of((one,)) == variable_of((name,))]
    return [f"{section}.{one}" for one in sorted(same)] if len(same) > 1 else []


def _nearest_variable(variable: str, tree: Mapping[str, Any]) -> str:
    """Suggest the known variable nearest to an unknown one, compared without the common prefix."""
    places = [(*place, leaf) for place, model, _ in sections(tree) for leaf, _ in leaves_of(model)]
    places += [(section, "NAME", leaf) for section, model in NAMED.items() for leaf, _ in leaves_of(model)]
    close = closest(variable.removeprefix(PREFIX), (variable_of(place).removeprefix(PREFIX) for place in places))
    return f"; did you mean {PREFIX}{close}?" if close else ""
