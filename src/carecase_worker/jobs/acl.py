"""What the users of Redis may do: each its part, none more. A test holds the compose file to these rules."""

APP = "carecase"
FLOWER = "flower"

_WORK = "+@read +@write +@connection +@transaction +@pubsub +eval +evalsha +script|load +script|exists +time +waitaof"
_NOT = "-@admin -@dangerous -scan -randomkey -function +info"
"""SCAN and RANDOMKEY tell the names of keys that the user may not see."""

_LOOKS = (
    "+auth +hello +select +ping +reset +quit +client|setinfo +client|setname"
    " +psubscribe +punsubscribe +llen +multi +exec +discard +info"
)
"""Listening to events of tasks, and counting messages: Flower's part. It writes nothing, and runs no script."""

# a pattern that is subscribed to must stand among the rules as it is; 0 is the number of Redis's database
_EVENTS = "/0.celeryev/*"
_QUEUES = "cases.*"


def app_rules(prefix: str, broker_prefix: str) -> str:
    """Intake and worker: the keys of job store and broker, and nothing that stops, empties or searches a server."""
    keys = f"~{prefix}* ~{broker_prefix}*"
    return f"{keys} &{prefix}* &{broker_prefix}{_EVENTS} {_WORK} {_NOT}"


def flower_rules(broker_prefix: str) -> str:
    """Flower: the length of the broker's queues and the events of tasks; it sees no payload and changes nothing."""
    return f"%R~{broker_prefix}{_QUEUES} &{broker_prefix}{_EVENTS} {_LOOKS}"
