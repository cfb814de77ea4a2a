"""What the users of Redis may do: each its part, none more. A test holds the compose file to these rules."""

APP = "carecase"
FLOWER = "flower"

_WORK = "+@read +@write +@connection +@transaction +@pubsub +eval +evalsha +script|load +time +waitaof"
_NOT = "-@admin -@dangerous -function +info"


def app_rules(prefix: str, broker_prefix: str) -> str:
    """Intake and worker: the keys of job store and broker, and nothing that stops, empties or searches a server."""
    return f"~{prefix}* ~{broker_prefix}* &{broker_prefix}* {_WORK} {_NOT}"


def flower_rules(broker_prefix: str) -> str:
    """Flower: the broker's keys and channels only; it sees no payload."""
    return f"~{broker_prefix}* &{broker_prefix}* {_WORK} {_NOT}"
