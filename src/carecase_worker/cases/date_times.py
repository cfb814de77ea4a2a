"""Parsing of the date-times of cases: ISO 8601 extended format, RFC 3339, and the formats of client libraries.

`docs/date-times.md` lists which library writes which format.
"""

import re
from datetime import UTC, datetime, timedelta

_HOUR, _SIXTY = "(?:[01][0-9]|2[0-3])", "[0-5][0-9]"
_FRACTION = "(?:[.,][0-9]+)?"
_TIME = f"{_HOUR}:{_SIXTY}(?::(?:{_SIXTY}|60){_FRACTION})?"
_END_OF_DAY = "24:00(?::00(?:[.,]0+)?)?"
_OFFSET = f"[+-]{_HOUR}(?::{_SIXTY}(?::{_SIXTY})?|{_SIXTY}(?:{_SIXTY})?)?"
_ZONE = f"(?:[Zz]| UTC| ?{_OFFSET})"
_ANNOTATION = r"\[[A-Za-z0-9_./+=-]{1,64}\]"
DATE_TIME_PATTERN = (
    f"^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}(?:[Tt ](?:{_TIME}|{_END_OF_DAY})(?:{_ZONE}(?:{_ANNOTATION}){{0,4}})?)?$"
)
"""The syntax of a date-time; `moment_of` checks that such a moment exists."""

_BEYOND = re.compile(f"(.{{10}}).(?:(..):(..):60{_FRACTION}|24:00(?::00)?(?:[.,]0+)?)((?:Z|{_OFFSET})?)")


def in_utc(moment: datetime) -> datetime:
    """Return the moment in UTC; one without an offset is in UTC already.

    Raises OverflowError beyond the years 1 to 9999.
    """
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def moment_of(text: str) -> datetime:
    """Return the moment, aware and in UTC, of a text of DATE_TIME_PATTERN; a fraction is cut to microseconds.

    Without an offset it is UTC. 24:00 is the next day's 00:00. A moment within a leap second becomes the 00:00:00 that
    follows. An annotation (RFC 9557) is ignored: the offset before it decides. Raises ValueError or OverflowError if
    there is no such moment in the years 1 to 9999.
    """
    plain = _plain(text)
    try:
        return in_utc(datetime.fromisoformat(plain))
    except (ValueError, OverflowError):
        beyond = _BEYOND.fullmatch(plain)
        if beyond is None:
            raise
    return _beyond(*beyond.groups())


def _plain(text: str) -> str:
    """Rewrite a text of DATE_TIME_PATTERN as one that Python reads, of the same moment."""
    date, time = text[:10], text[11:].partition("[")[0].upper().replace(" UTC", "Z").replace(" ", "")
    return f"{date}T{time}" if time else date


def _beyond(date: str, hour: str | None, minute: str | None, zone: str) -> datetime:
    """Return the moment after the last second of a minute or, without hour and minute, of a day."""
    begin = datetime.fromisoformat(f"{date}T00:00{zone or 'Z'}")
    offset = begin.utcoffset() or timedelta()
    if hour is None or minute is None:
        return begin.replace(tzinfo=UTC) + (timedelta(days=1) - offset)
    after = begin.replace(tzinfo=UTC) + (timedelta(hours=int(hour), minutes=int(minute) + 1) - offset)
    if (after.day, after.hour, after.minute) != (1, 0, 0):
        raise ValueError("a leap second ends a month in UTC")
    return after
