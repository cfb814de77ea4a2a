"""Redis that answers, but not as it should: what is said, what becomes of it, and that it ends by itself."""

import asyncio
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread

import pytest
import redis
import uvloop
from tests.builders import a_new_job
from tests.services import lone_valkey, redis_url
from tests.stores import Stores

from carecase_worker.batches.chunking import ChunkRef
from carecase_worker.broker.celery_app import celery_app
from carecase_worker.broker.notifier import Notifier
from carecase_worker.errors import JobNotFound, StoreUnavailable
from carecase_worker.settings.loading import load
from carecase_worker.settings.model import JobSettings, RedisSettings
from carecase_worker.store.keys import Keys
from carecase_worker.store.loop_store import LoopStore
from carecase_worker.store.operations.admission import Admitted
from carecase_worker.store.redis.connection import connect_listener


@dataclass
class Address:
    """One address, behind which another server may stand from one connection to the next, as with a load balancer."""

    server: int
    listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))

    @property
    def port(self) -> int:
        return int(self.listener.getsockname()[1])

    def serve(self) -> None:
        """Pass connections on until the listener is closed."""
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self.server))
            for source, sink in ((near, far), (far, near)):
                Thread(target=_pass_on, args=(source, sink), daemon=True).start()


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    try:
        while piece := source.recv(65536):
            sink.sendall(piece)
    except OSError:
        pass
    for one in (source, sink):
        one.close()


@contextmanager
def one_address(server: int) -> Iterator[Address]:
    address = Address(server)
    Thread(target=address.serve, daemon=True).start()
    try:
        yield address
    finally:
        address.listener.close()


def test_a_failover_behind_one_address_is_followed_at_once(tmp_path: Path) -> None:
    """The old primary still answers, as a replica: READONLY. Its connections are dropped, those of the broker, too."""
    with lone_valkey(tmp_path / "one") as one, lone_valkey(tmp_path / "two") as two, one_address(one) as address:
        url = redis_url(address.port)
        settings = load(environment={"CARECASE_REDIS_URL": url, "CARECASE_DATABASES_DEMO_URL": "sqlite:///nowhere"})
        store, notifier = Stores(settings.redis, settings.jobs), Notifier(celery_app(settings))
        assert store.batches.admit(a_new_job(), {0: b"p"}).verdict is Admitted.ADMITTED
        notifier.notify("demo", [ChunkRef(a_new_job().job_id, 0)])

        address.server = two
        old = redis.Redis.from_url(redis_url(one))
        old.execute_command("CONFIG", "SET", "primaryuser", "default", "primaryauth", "secret")
        old.replicaof("127.0.0.1", two)
        new = a_new_job()
        assert store.batches.admit(new, {0: b"p"}).verdict is Admitted.ADMITTED
        store.leases.settle("demo", 0)
        assert redis.Redis.from_url(redis_url(two)).exists(store.keys.job(new.job_id))
        to_notify = 0
        for _ in range(2):  # the first one tells that the server has changed
            try:
                notifier.notify("demo", [ChunkRef(new.job_id, 0)])
            except StoreUnavailable:
                continue
            to_notify += 1
        assert to_notify >= 1
        assert redis.Redis.from_url(redis_url(two)).llen("b:cases.demo") == to_notify


def test_an_intake_follows_a_failover_behind_one_address_at_once(tmp_path: Path) -> None:
    """On its event loop. As long as the address leads to the old primary, that is reported."""

    async def scene(one: int, two: int, address: Address) -> None:
        settings = RedisSettings.model_validate({"url": redis_url(address.port)})
        store, late = LoopStore(settings, JobSettings()), LoopStore(settings, JobSettings())
        assert (await store.admit(a_new_job(), {0: b"p"})).verdict is Admitted.ADMITTED
        old = redis.Redis.from_url(redis_url(one))
        old.execute_command("CONFIG", "SET", "primaryuser", "default", "primaryauth", "secret")
        old.replicaof("127.0.0.1", two)
        with pytest.raises(StoreUnavailable, match="is a replica and takes no writes"):
            await late.admit(a_new_job(), {0: b"p"})

        address.server = two
        new = a_new_job()
        assert (await store.admit(new, {0: b"p"})).verdict is Admitted.ADMITTED
        assert redis.Redis.from_url(redis_url(two)).exists(Keys(settings.prefix).job(new.job_id))
        await store.close()
        await late.close()

    with lone_valkey(tmp_path / "one") as one, lone_valkey(tmp_path / "two") as two, one_address(one) as address:
        asyncio.run(scene(one, two, address))


@dataclass
class Relay:
    """An address before a server, whose connections can be reset while they are idle, as by a balancer's timeout."""

    server: int
    near: list[asyncio.StreamWriter] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on what comes, in both directions, until an end is there."""
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.server)
        self.near.append(writer)
        await asyncio.wait(
            [asyncio.ensure_future(_copied(*way)) for way in ((reader, far_writer), (far_reader, writer))]
        )

    async def reset(self, port: int) -> None:
        """Reset all connections, the last one of which is a witness: once it has seen it, the others have."""
        seen, witness = await asyncio.open_connection("127.0.0.1", port)
        witness.write(b"PING\r\n")
        await seen.readline()
        for writer in self.near:
            linger = struct.pack("ii", 1, 0)  # so that closing is a reset
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()
        self.near.clear()
        with suppress(ConnectionResetError):
            await seen.read()


async def _copied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while piece := await reader.read(65536):
            writer.write(piece)
    writer.close()


def test_a_connection_of_an_intake_that_is_reset_while_it_is_idle_is_made_anew(alone: str) -> None:
    """On the intake's own event loop, which has closed a connection that was reset and takes no write to it."""

    async def asked_again() -> None:
        relay = Relay(int(alone.rpartition(":")[2].partition("/")[0]))
        async with await asyncio.start_server(relay.serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            store = LoopStore(RedisSettings.model_validate({"url": redis_url(port)}), JobSettings())
            await store.now()
            await relay.reset(port)
            await store.now()
            assert (await store.admit(a_new_job(), {0: b"p"})).verdict is Admitted.ADMITTED
            await relay.reset(port)
            assert (await store.admit(a_new_job(), {0: b"p"})).verdict is Admitted.ADMITTED
            await store.close()

    uvloop.run(asked_again())


@pytest.mark.parametrize("steps", range(8))
def test_who_is_cancelled_while_it_sends_a_command_does_not_go_on(alone: str, steps: int) -> None:
    """`asyncio.wait_for`, by which redis-py sends, loses a cancellation that comes in the step in which it ends."""

    async def cancelled() -> None:
        async def after_steps() -> bool:
            for _ in range(steps):
                await asyncio.sleep(0)  # a step of the event loop
            return asking.cancel()

        client = connect_listener(RedisSettings.model_validate({"url": alone}))
        await client.ping()
        canceller = asyncio.create_task(after_steps())  # before the other one, so it has its turn first in each step
        asking = asyncio.create_task(client.execute_command("PING"))
        if await canceller:
            with pytest.raises(asyncio.CancelledError):
                await asking
        await client.aclose()

    asyncio.run(cancelled())


def _set(name: str, value: str, back: str) -> Callable[["redis.Redis"], Callable[[], object]]:
    def spoil(client: "redis.Redis") -> Callable[[], object]:
        client.config_set(name, value)
        return lambda: client.config_set(name, back)

    return spoil


def _password(client: "redis.Redis") -> Callable[[], object]:
    client.execute_command("ACL", "SETUSER", "default", "resetpass", ">changed")
    client.client_kill_filter(skipme=True)
    return lambda: client.execute_command("ACL", "SETUSER", "default", "resetpass", ">secret")


def _alone(client: "redis.Redis") -> Callable[[], object]:
    client.config_set("replica-serve-stale-data", "no")
    client.replicaof("127.0.0.1", 1)
    return lambda: client.execute_command("REPLICAOF", "NO", "ONE")


SPOILT: dict[str, tuple[Callable[["redis.Redis"], Callable[[], object]], str]] = {
    "out of memory": (_set("maxmemory", "1mb", "0"), "is full; give Redis more memory"),
    "too few replicas": (_set("min-replicas-to-write", "1", "0"), "too few replicas"),
    "another password": (_password, "refuses the credentials; check redis.url"),
    "a replica without its primary": (_alone, "is a replica"),
}


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with lone_valkey(tmp_path_factory.mktemp("spoilt") / "valkey") as port:
        yield redis_url(port)


@pytest.mark.parametrize("name", SPOILT)
def test_what_is_wrong_is_reported_and_nothing_is_half_admitted(alone: str, name: str) -> None:
    spoil, text = SPOILT[name]
    store = Stores(RedisSettings.model_validate({"url": alone}), JobSettings())
    client = redis.Redis.from_url(alone, single_connection_client=True)
    late = a_new_job()
    mend = spoil(client)
    try:
        with pytest.raises(StoreUnavailable, match=text) as raised:
            store.batches.admit(late, {0: b"p"})
        assert "127.0.0.1" not in str(raised.value)
    finally:
        mend()
    with pytest.raises(JobNotFound):
        store.jobs.job(late.job_id)
    assert store.batches.admit(a_new_job(), {0: b"p"}).verdict is Admitted.ADMITTED, "it ends by itself"
