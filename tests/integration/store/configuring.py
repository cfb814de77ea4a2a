"""A Valkey whose settings are others for a while."""

from collections.abc import Iterator
from contextlib import contextmanager

import redis
from tests.acceptance.system import eventually


@contextmanager
def configured(server: "redis.Redis", **settings: str) -> Iterator[None]:
    """A server whose settings are others for a while; `_` stands for `-`."""
    names = {name.replace("_", "-"): value for name, value in settings.items()}
    before = {name: str(server.config_get(name)[name]) for name in names}
    try:
        for name, value in names.items():
            server.config_set(name, value)
        yield
    finally:
        for name, value in before.items():
            server.config_set(name, value)
        eventually(lambda: not _rewrites_its_file(server), what="the append-only file is rewritten")


def _rewrites_its_file(server: "redis.Redis") -> bool:
    """Tell if the append-only file is being rewritten, or is about to be: until it is, WAITAOF confirms nothing."""
    state = server.info("persistence")
    return bool(int(state["aof_rewrite_in_progress"]) or int(state["aof_rewrite_scheduled"]))
