"""The date-times that a case may hold: ISO 8601's extended format, of which RFC 3339 is a part."""

import re
from datetime import UTC, datetime, timedelta

_HOUR, _SIXTY = "(?:[01][0-9]|2[0-3])", "[0-5][0-9]"
_FRACTION = "(?:[.,][0-9]+)?"
_TIME = f"{_HOUR}:{_SIXTY}(?::(?:{_SIXTY}|60){_FRACTION})?"
_END_OF_DAY = "24:00(?::00(?:[.,]0+)?)?"
_ZONE = f"(?:[Zz]|[+-]{_HOUR}(?::?{_SIXTY})?)"
DATE_TIME_PATTERN = f"^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}(?:[Tt ](?:{_TIME}|{_END_OF_DAY}){_ZONE}?)?$"
"""What a date-time looks like; whether there is such a moment, `moment_of` says."""

_BEYOND = re.compile(f"(.{{10}}).(?:(..):(..):60{_FRACTION}|24:00(?::00)?(?:[.,]0+)?)({_ZONE}?)")


_FINER = re.compile("[.,][0-9]{6}([0-9])")


def in_utc(moment: datetime) -> datetime:
    """The moment in UTC; without an offset it is that already. Raises OverflowError beyond the years 1 to 9999."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def moment_of(text: str) -> datetime:
    """The moment, aware and in UTC, of a text of DATE_TIME_PATTERN, to the nearest microsecond.

    Without an offset it is UTC. 24:00 is the next day's 00:00. A leap second, and all of it, is the 00:00:00 that
    follows. Raises ValueError or OverflowError if there is no such moment in the years 1 to 9999.
    """
    text = text.upper()
    try:
        finer = _FINER.search(text)
        rest = timedelta(microseconds=1 if finer and finer[1] >= "5" else 0)
        return in_utc(datetime.fromisoformat(text)) + rest
    except (ValueError, OverflowError):
        beyond = _BEYOND.fullmatch(text)
        if beyond is None:
            raise
    return _beyond(*beyond.groups())


def _beyond(date: str, hour: str | None, minute: str | None, zone: str) -> datetime:
    """The moment after the last second of a minute or, without one, of a day."""
    begin = datetime.fromisoformat(f"{date}T00:00{zone or 'Z'}")
    offset = begin.utcoffset() or timedelta()
    if hour is None or minute is None:
        return begin.replace(tzinfo=UTC) + (timedelta(days=1) - offset)
    after = begin.replace(tzinfo=UTC) + (timedelta(hours=int(hour), minutes=int(minute) + 1) - offset)
    if (after.day, after.hour, after.minute) != (1, 0, 0):
        raise ValueError("a leap second ends a month in UTC")
    return after
