"""Celery's events of tasks and workers, for a Redis user that may only subscribe.

Celery's own receiver declares a queue, wakes workers by remote control and takes locks, all of which write to Redis.
"""

import base64
import json
from collections.abc import Iterator
from typing import Any, cast

from pydantic import SecretStr

from carecase_worker.errors import StoreUnavailable
from carecase_worker.settings.model import RedisSettings, Settings
from carecase_worker.settings.urls.services import redis_url
from carecase_worker.store.redis.connection import connect, redis_errors

QUIET_S = 5.0
"""Seconds of silence after which the broker is pinged; after twice as many, a broker that has not answered is away."""

_UNREADABLE = (ValueError, TypeError, LookupError, RecursionError)

Event = dict[str, Any]


def flower_redis(settings: Settings) -> RedisSettings:
    """Return the settings of the broker's Redis for Flower's own user, with the password in the URL."""
    url = redis_url(settings.flower_broker_url)
    return settings.redis.model_copy(update={"url": SecretStr(url), "password": None})


def setting_of_broker(settings: Settings) -> str:
    """Return the name of the setting that holds the URL of Flower's broker."""
    if settings.flower.broker_url is not None:
        return "flower.broker_url"
    return "redis.url" if settings.broker.url is None else "broker.url"


def listen(settings: RedisSettings, broker_prefix: str, setting: str) -> Iterator[list[Event]]:
    """Yield events as they arrive, for ever; an empty list after five silent seconds.

    Raises StoreUnavailable, whose text names the setting with the broker's URL.
    """
    client = connect(settings)
    number = client.get_connection_kwargs().get("db") or 0
    with redis_errors("the broker", setting), client, client.pubsub() as channel:  # type: ignore[no-untyped-call]  # redis has no type for it
        channel.psubscribe(f"{broker_prefix}/{number}.celeryev/*")
        asked = True  # the answer to the subscription is awaited
        while True:
            message = cast("dict[str, Any] | None", channel.get_message(timeout=QUIET_S))
            if message is None and asked:
                raise StoreUnavailable("the broker does not answer")
            asked = message is None
            if message is None:
                channel.ping()  # a connection that is dead at the other end is silent, too
                yield []
            elif message["type"] == "pmessage":
                yield events_of(message["data"])


def events_of(data: bytes) -> list[Event]:
    """Return the events of one message; an empty list if it is not a message of Celery's."""
    try:
        events = json.loads(base64.b64decode(json.loads(data)["body"], validate=True))
    except _UNREADABLE:
        return []
    return [event for event in (events if isinstance(events, list) else [events]) if _is_event(event)]


def _is_event(event: object) -> bool:
    """Return whether Flower can count an event: it has a type, a worker, a time and, for a task, the task's id."""
    match event:
        case {"type": str(kind), "hostname": str(), "timestamp": int() | float(), "clock": int(), **rest}:
            return not kind.startswith("task-") or isinstance(rest.get("uuid"), str)
        case _:
            return False
