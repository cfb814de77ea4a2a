"""A Valkey whose settings are others for a while."""

from collections.abc import Iterator
from contextlib import contextmanager

import redis


@contextmanager
def configured(server: "redis.Redis", **settings: str) -> Iterator[None]:
    """A server whose settings are others for a while; `_` stands for `-`."""
    names = {name.replace("_", "-"): value for name, value in settings.items()}
    before = {name: str(server.config_get(name)[name]) for name in names}
    for name, value in names.items():
        server.config_set(name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            server.config_set(name, value)
