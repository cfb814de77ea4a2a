"""The places of a running system where somebody could read a value: Redis, its files, Flower, processes."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import psutil
import redis
import zstandard
from tests.acceptance.system import System, eventually
from tests.plain_http import http_client


def all_of_redis(system: System) -> str:
    """Every key of Redis with its value, as far as it can be read."""
    client: Any = redis.Redis.from_url(system.stack["redis"]["url"])
    reads = {"string": client.get, "hash": client.hgetall, "set": client.smembers}
    seen = []
    for name in client.scan_iter(count=1000):
        kind = client.type(name).decode()
        match kind:
            case "list":
                value: Any = client.lrange(name, 0, -1)
            case "zset":
                value = client.zrange(name, 0, -1)
            case "none":  # it has gone since it was named
                continue
            case _:
                value = reads[kind](name)
        seen += [name, *_pieces(value)]
    return "\n".join(piece.decode("utf-8", "replace") for piece in seen)


def _pieces(value: Any) -> Iterator[bytes]:
    """The strings in a value of Redis; what is compressed, as it was before."""
    if isinstance(value, bytes):
        yield value
        at = value.find(b"\x28\xb5\x2f\xfd")  # a zstd frame
        if at >= 0:
            yield zstandard.ZstdDecompressor().decompress(value[at:], max_output_size=1 << 24)
    elif value is not None:
        for one in value.items() if isinstance(value, dict) else value:
            yield from _pieces(list(one) if isinstance(one, tuple) else one)


def all_of_flower(system: System, job_id: str) -> str:
    """Flower's pages and its API, once it has seen a job."""
    page = system.stack["flower"]
    with http_client(base_url=page["url"], auth=(page["user"], page["password"]), timeout=30) as pages:
        tasks = eventually(lambda: (seen := pages.get("/api/tasks")) and job_id in seen.text and seen.json())
        paths = ["/tasks", "/workers", "/broker", "/api/tasks", "/api/workers", "/metrics"]
        paths += [f"/task/{uuid}" for uuid in tasks]
        return "\n".join(pages.get(path).text for path in paths)


def arguments(system: System) -> str:
    """What everybody on the machine can see of the processes."""
    seen = []
    for process in (psutil.Process(system.process.pid), *psutil.Process(system.process.pid).children(recursive=True)):
        with suppress(psutil.NoSuchProcess):  # one that has ended, a zombie too, shows nothing
            seen.append(" ".join(process.cmdline()))
    return "\n".join(seen)


def files_of_redis(system: System) -> str:
    return "\n".join(
        path.read_bytes().decode("utf-8", "replace")
        for path in (system.data_dir / "valkey").rglob("*")
        if path.is_file()
    )
