"""Redis that answers with a fault: what is said, that nothing is half admitted, and that it ends by itself."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

import pytest
import redis
from tests.acceptance.system import eventually
from tests.builders import a_new_job
from tests.posing import passing_on
from tests.services import Services
from tests.stores import Stores

from carecase_worker.errors import JobNotFound, StoreUnavailable
from carecase_worker.settings.model import JobSettings, RedisSettings
from carecase_worker.store.operations.admission import Admitted
from carecase_worker.store.redis.connection import connect_loop
from carecase_worker.store.redis.pipelining import Pipelining
from carecase_worker.store.scripts import OPERATIONS, script_of


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


def _failed_save(client: "redis.Redis") -> Callable[[], object]:
    """Let a directory be in the place of the file: the server cannot save, and takes no writes any more."""
    in_its_place = Path(str(client.config_get("dir")["dir"])) / "dump.rdb"
    in_its_place.mkdir()
    client.config_set("save", "3600 1")
    client.bgsave()
    eventually(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err", what="the saving has failed")

    def mend() -> None:
        client.config_set("save", "")
        in_its_place.rmdir()

    return mend


def _spinning(client: "redis.Redis") -> Callable[[], object]:
    """Let a script of somebody else run until it is killed."""
    client.config_set("busy-reply-threshold", 1)
    other = redis.Redis.from_url(f"redis://127.0.0.1:{client.get_connection_kwargs()['port']}", password="secret")

    def spin() -> None:
        with suppress(redis.ResponseError):  # it is killed
            other.eval("while true do end", 0)

    def is_busy() -> bool:
        try:
            return not client.ping()
        except redis.ResponseError:
            return True

    thread = Thread(target=spin)
    thread.start()
    eventually(is_busy, what="the script runs")

    def mend() -> None:
        client.script_kill()
        thread.join()
        client.config_set("busy-reply-threshold", 5000)
        other.close()

    return mend


SPOILT: dict[str, tuple[Callable[["redis.Redis"], Callable[[], object]], str]] = {
    "out of memory": (_set("maxmemory", "1mb", "0"), "is full; give Redis more memory"),
    "too few replicas": (_set("min-replicas-to-write", "1", "0"), "too few replicas"),
    "another password": (_password, "refuses the credentials; check redis.url"),
    "a replica without its primary": (_alone, "is a replica"),
    "a disk that cannot be written to": (_failed_save, "cannot write to its disk; free some space, and see its log"),
    "a script that does not end": (_spinning, "is busy with a script; wait"),
}


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


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (b"-LOADING Redis is loading the dataset in memory\r\n", "is loading its data from disk; wait"),
        (b"-CLUSTERDOWN The cluster is down\r\n", "is a cluster with a part down; restore that part"),
        (b"-NOAUTH Authentication required.\r\n", r"refuses the credentials; check redis\.url"),
        (b"-NOPERM User app has no permissions\r\n", "refuses a command to this user; check its ACL"),
        (b"-NOREPLICAS Not enough good replicas to write.\r\n", "has too few replicas to take writes"),
    ],
)
def test_what_a_server_answers_to_everything_is_reported(servers: Services, answer: bytes, text: str) -> None:
    with passing_on(urlsplit(servers.redis_url).port or 0, lambda _: answer) as port:
        store = Stores(RedisSettings.model_validate({"url": f"redis://127.0.0.1:{port}/0"}), JobSettings())
        with pytest.raises(StoreUnavailable, match=text):
            store.jobs.job(a_new_job().job_id)


def test_a_replica_that_has_lost_its_primary_says_so_to_whoever_reads(alone: str) -> None:
    store = Stores(RedisSettings.model_validate({"url": alone}), JobSettings())
    mend = _alone(redis.Redis.from_url(alone, single_connection_client=True))
    try:
        with pytest.raises(StoreUnavailable, match="has lost its primary; restore that, or check"):
            store.jobs.job(a_new_job().job_id)
    finally:
        mend()


def test_a_command_that_is_refused_fails_no_other_that_shares_its_round_trip(servers: Services) -> None:
    """Otherwise, an accepted batch would be answered with the fault of another one."""

    async def asked() -> list[object]:
        commands = Pipelining(connect_loop(RedisSettings.model_validate({"url": servers.redis_url})))
        try:
            calls = [commands.commands(command) for command in (("ECHO", "one"), ("NONSENSE",), ("ECHO", "two"))]
            return list(await asyncio.gather(*calls, return_exceptions=True))
        finally:
            await commands.close()

    first, refused, last = asyncio.run(asked())
    assert (first, last) == ([b"one"], [b"two"])
    assert isinstance(refused, StoreUnavailable)


def test_a_redis_that_is_full_refuses_only_what_fills_it() -> None:
    """To apply, to give back and to purge makes room."""
    refused = {operation for operation in OPERATIONS if "allow-oom" not in script_of(operation).splitlines()[0]}
    assert refused == {"stage", "admit"}
