"""The envelope that every response comes in."""

from typing import Any

import msgspec


def envelope(activity_id: str, data: Any = None, error: Any = None, **members: Any) -> bytes:
    """Return the envelope that every response comes in, as JSON."""
    return msgspec.json.encode({"data": data, "error": error, "debug": {"activityID": activity_id}, **members})
