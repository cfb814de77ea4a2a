"""Redis ACL rules of this service's users, with least privilege. A test compares the compose file with them."""

APP = "carecase"
FLOWER = "flower"

_WORK = "+@read +@write +@connection +@transaction +@pubsub +eval +evalsha +script|load +script|exists +time +waitaof"
_NOT = "-@admin -@dangerous -scan -randomkey -function +info"
"""SCAN and RANDOMKEY are excluded: they reveal the names of keys that the user may not read."""

_LOOKS = (
    "+auth +hello +select +ping +reset +quit +client|setinfo +client|setname"
    " +psubscribe +punsubscribe +llen +multi +exec +discard +info"
)
"""Flower's commands: it listens to task events and counts messages; it writes nothing and runs no script."""

# a pattern that is subscribed to must stand among the rules as it is; 0 is the number of Redis's database
_EVENTS = "/0.celeryev/*"
_QUEUES = "cases.*"


def app_rules(prefix: str, broker_prefix: str) -> str:
    """Return the rules of intake and worker: the keys of job store and broker.

    No allowed command stops, flushes or scans a server.
    """
    keys = f"~{prefix}* ~{broker_prefix}*"
    return f"{keys} &{prefix}* &{broker_prefix}{_EVENTS} {_WORK} {_NOT}"


def flower_rules(broker_prefix: str) -> str:
    """Return Flower's rules: the length of the broker's queues and the events of tasks.

    It sees no payload and changes nothing.
    """
    return f"%R~{broker_prefix}{_QUEUES} &{broker_prefix}{_EVENTS} {_LOOKS}"
