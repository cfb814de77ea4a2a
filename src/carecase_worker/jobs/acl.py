"""What the users of Redis may do: each its part, none more. A test holds the compose file to these rules."""

APP = "carecase"
FLOWER = "flower"

_WORK = "+@read +@write +@connection +@transaction +@pubsub +eval +evalsha +script|load +script|exists +time +waitaof"
_NOT = "-@admin -@dangerous -scan -randomkey -function +info"
"""SCAN and RANDOMKEY tell the names of keys that the user may not see."""


# a pattern that is subscribed to must stand among the rules as it is; 0 is the number of Redis's database
_CHANNELS = ("*", "/0.celery.pidbox", "/0.celeryev/*")


def app_rules(prefix: str, broker_prefix: str) -> str:
    """Intake and worker: the keys of job store and broker, and nothing that stops, empties or searches a server."""
    return f"~{prefix}* &{prefix}* {flower_rules(broker_prefix)}"


def flower_rules(broker_prefix: str) -> str:
    """Flower: the broker's keys and channels only; it sees no payload."""
    channels = " ".join(f"&{broker_prefix}{channel}" for channel in _CHANNELS)
    return f"~{broker_prefix}* {channels} {_WORK} {_NOT}"
