"""Formats of dates and times in files: a subset of strptime's directives, converted to ISO 8601 without guessing."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

_MONTHS = {name: number for number, name in enumerate(
    ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), start=1
)}  # fmt: skip
_DIRECTIVES = {
    "Y": "(?P<Y>[0-9]{4})",
    "y": "(?P<y>[0-9]{2})",
    "m": "(?P<m>1[0-2]|0?[1-9])",
    "b": f"(?P<b>{'|'.join(_MONTHS)})",
    "d": "(?P<d>3[01]|[12][0-9]|0?[1-9])",
    "H": "(?P<H>2[0-3]|[01]?[0-9])",
    "I": "(?P<I>1[0-2]|0?[1-9])",
    "p": "(?P<p>[AaPp][Mm])",
    "M": "(?P<M>[0-5]?[0-9])",
    "S": "(?P<S>[0-5]?[0-9])",
    "f": "(?P<f>[0-9]{1,9})",
    "z": "(?P<z>[Zz]|[+-][0-9]{2}:?[0-9]{2})",
    "%": "%",
}
_NUMBERS = frozenset("YymdHIMSf")
_PART = re.compile("%(.)|([^%]+)", re.DOTALL)
_CENTURY_BEGINS = 69
"""POSIX's rule for two-digit years: 69 to 99 are in the 20th century."""
_NEEDED = ({"Y", "y"}, {"m", "b"}, {"d"})
_DATE = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclass(frozen=True, slots=True)
class DateFormat:
    """One date-time format."""

    pattern: re.Pattern[str]

    @classmethod
    def of(cls, text: str) -> "DateFormat":
        """Compile a format. Raises ValueError with its fault."""
        parts: list[str] = []
        seen: set[str] = set()
        found = [part.groups() for part in _PART.finditer(text)]
        for place, (directive, literal) in enumerate(found):
            if literal is not None:
                parts.append(re.escape(literal))
                continue
            if directive not in _DIRECTIVES or directive in seen - {"%"}:
                raise ValueError(f"has %{directive}, which is not known or comes twice")
            seen.add(directive)
            neighbours = {found[other][0] for other in (place - 1, place + 1) if 0 <= other < len(found)}
            parts.append(_pattern(directive, bool(neighbours & _NUMBERS)))
        if text.replace("%%", "").endswith("%"):
            raise ValueError("ends with a % alone")
        if any(len(seen & group) != 1 for group in _NEEDED):
            raise ValueError("must have a year (%Y or %y), a month (%m or %b) and a day (%d), each once")
        if ("I" in seen) != ("p" in seen) or {"H", "I"} <= seen:
            raise ValueError("must have %H, or %I with %p")
        return cls(re.compile("".join(parts), re.IGNORECASE))

    def iso(self, text: str) -> str | None:
        """Convert a text of this format to ISO 8601; None if it does not match."""
        found = self.pattern.fullmatch(text)
        if found is None:
            return None
        part = found.groupdict()
        month = _MONTHS[part["b"].lower()] if part.get("b") else int(part["m"])
        minute, second = int(part.get("M") or 0), int(part.get("S") or 0)
        fraction, zone = f".{part['f']}" if part.get("f") else "", part.get("z") or "Z"
        date = f"{_year(part)}-{month:02}-{int(part['d']):02}"
        return f"{date}T{_hour(part):02}:{minute:02}:{second:02}{fraction}{zone}"


def _pattern(directive: str, adjoins_number: bool) -> str:
    """Return the pattern of a directive. Beside another number it has two digits, or nobody knows where it ends."""
    pattern = _DIRECTIVES[directive]
    return pattern.replace("?[", "[") if adjoins_number and directive in _NUMBERS else pattern


def _year(part: dict[str, str]) -> str:
    if part.get("Y"):
        return part["Y"]
    return f"{'19' if int(part['y']) >= _CENTURY_BEGINS else '20'}{part['y']}"


def _hour(part: dict[str, str]) -> int:
    if part.get("I"):
        return int(part["I"]) % 12 + (12 if part["p"].lower() == "pm" else 0)
    return int(part.get("H") or 0)


def contradiction(formats: Sequence[str]) -> str:
    """Name two formats that match the same text with different meanings; empty if there are none."""
    shapes: dict[str, str] = {}
    for text in formats:
        shape = re.sub("%[mdHIMSy]", "9", text).replace("%Y", "9999")
        if shape in shapes and shapes[shape] != text:
            return f"{shapes[shape]} and {text} may both fit one text, with different meanings; keep one of them"
        shapes[shape] = text
    return ""


def iso_of(text: str, formats: Sequence[DateFormat]) -> str:
    """Convert a date-time to ISO 8601 if one of the formats matches; else return it unchanged, for validation.

    A date alone gets midnight in UTC, as in validation.
    """
    for form in formats:
        if (iso := form.iso(text)) is not None:
            return iso
    return f"{text}T00:00:00Z" if len(text) == len("2026-11-27") and _DATE.fullmatch(text) else text
