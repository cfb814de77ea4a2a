"""The envelope of every JSON response."""

from typing import Any

import msgspec


def envelope(activity_id: str, data: Any = None, error: Any = None, **members: Any) -> bytes:
    """Return a response's envelope as JSON."""
    return msgspec.json.encode({"data": data, "error": error, "debug": {"activityID": activity_id}, **members})
