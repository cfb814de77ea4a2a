"""The headers Prefer and Preference-Applied (RFC 7240)."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta

# possessive repetitions: without backtracking, a hostile header takes linear time; not around what moves on before it
# fails, which Python before 3.11.5 does not take back
_PLAIN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
_QUOTED = r'"(?:[^"\\]++|\\.)*+"'
_NAME_AND_VALUE = re.compile(rf"\s*+({_PLAIN})\s*+(?:=\s*+({_PLAIN}|{_QUOTED})?\s*+)?(?:;|\Z)")
_ELEMENT = re.compile(r'(?:[^,"]++|"(?:[^"\\]++|\\.)*+(?:"|\\?\Z))++')
_LONGEST_NUMBER = 9
_LONGEST_HEADER = 1000


@dataclass(frozen=True, slots=True)
class Preferences:
    """The supported preferences: respond at once, long poll for up to `wait`, apply all items or none."""

    respond_async: bool = False
    wait: timedelta | None = None
    strict: bool = False


def preferences(headers: Iterable[str], longest: timedelta) -> Preferences:
    """Parse all Prefer headers; the first preference of each name counts, unknown and invalid ones are ignored.

    `wait` is limited to `longest`.
    """
    first: dict[str, str] = {}
    for header in headers:
        for name, value in _named(header):
            first.setdefault(name, value)
    wait = first.get("wait", "")
    seconds = timedelta(seconds=int(wait[:_LONGEST_NUMBER])) if re.fullmatch("[0-9]+", wait) else None
    strict = first.get("handling") == "strict"
    return Preferences("respond-async" in first, None if seconds is None else min(seconds, longest), strict)


def applied(wanted: Preferences, final: bool, of_batch: bool = False) -> dict[str, str]:
    """Return the Preference-Applied header of a response; no header if no preference was honoured."""
    honoured = ["respond-async"] if wanted.respond_async and not final else []
    if wanted.wait is not None:
        honoured.append(f"wait={wanted.wait // timedelta(seconds=1)}")
    if wanted.strict and of_batch:
        honoured.append("handling=strict")
    return {"Preference-Applied": ", ".join(honoured)} if honoured else {}


def _named(header: str) -> Iterator[tuple[str, str]]:
    """Yield name and value of each preference of a header, without their parameters."""
    for element in _ELEMENT.findall(header[:_LONGEST_HEADER]):
        found = _NAME_AND_VALUE.match(element)
        if found:
            value = found[2] or ""
            yield found[1].lower(), re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value
