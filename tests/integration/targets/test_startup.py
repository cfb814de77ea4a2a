"""The look at every database with which a worker begins: what it says of each, and when it does not begin."""

import gc
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
from tests.integration.targets.databases import a_database, engine_at, run
from tests.posing import passing_on, posing_as
from tests.services import Services

from carecase_worker.errors import SettingsError
from carecase_worker.settings.loading import load
from carecase_worker.targets.causes import Causes
from carecase_worker.targets.dialects.postgresql.errors import LOWEST as LOWEST_POSTGRES
from carecase_worker.targets.schema.migration import upgrade
from carecase_worker.targets.startup import look_at
from carecase_worker.targets.tenants import tenants_of


@pytest.fixture(scope="module")
def fitting(servers: Services) -> str:
    """The URL of a database that a worker can work with."""
    url = a_database(servers)
    with engine_at(url) as engine:
        upgrade(engine)
    return url


@pytest.fixture
def silent(fitting: str) -> Iterator[str]:
    """The URL of a server that lets whoever connects wait."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield fitting.replace(f":{urlsplit(fitting).port}/", f":{server.getsockname()[1]}/")


def looked_at(**urls: str) -> dict[str, str]:
    variables = {f"CARECASE_DATABASES_{name}_URL": url for name, url in urls.items()}
    if "fitting" in urls:  # all are looked at for as long as the most patient one is; it is not that slow itself
        variables["CARECASE_DATABASES_FITTING_CONNECT_TIMEOUT_SECONDS"] = "9"
    return look_at(tenants_of(load(environment=variables).databases))


def test_no_database_at_all_is_nothing_to_look_at() -> None:
    assert look_at({}) == {}


def test_each_database_that_a_worker_cannot_work_with_yet_is_reported(
    servers: Services, fitting: str, silent: str
) -> None:
    newer = a_database(servers)
    with engine_at(newer) as engine:
        upgrade(engine)
    run(newer, "UPDATE carecase_schema SET version_num = '9999'")
    reasons = looked_at(
        fitting=fitting,
        silent=silent,
        empty=a_database(servers),
        missing=f"{fitting}_missing",
        newer=newer,
    )
    empty = reasons.pop("empty")
    assert empty.startswith("it is at revision none, not 0001: run carecase db upgrade; it lacks table care_case")
    assert reasons == {
        "silent": Causes.TIMEOUT.value.text,
        "missing": Causes.NO_DATABASE.value.text,
        "newer": "fits (it is at revision 9999, newer than this version's 0001, and only adds to it)",
    }


def test_every_database_that_no_wait_mends_keeps_the_worker_from_its_start(servers: Services, fitting: str) -> None:
    port = urlsplit(servers.postgres_url).port
    assert port is not None
    with posing_as(LOWEST_POSTGRES - 1, port) as old, pytest.raises(SettingsError) as caught:
        looked_at(
            fitting=fitting,
            old=fitting.replace(f":{port}/", f":{old}/"),
            bogus=f"{fitting}?sslmode=bogus",
            options=f"{fitting}?options=garbage",
            missing=f"{fitting}_missing",
        )
    parameter = Causes.PARAMETER.value.text
    assert sorted(str(caught.value).splitlines()) == [
        f"databases.bogus: {parameter} (sslmode)",
        f"databases.old: {Causes.VERSION.value.text}: the lowest is PostgreSQL {LOWEST_POSTGRES},"
        " see docs/operations/versions.md",
        f"databases.options: {parameter} (options)",
    ]


def test_settings_of_the_environment_that_collide_with_ours_keep_the_worker_from_its_start(
    fitting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGOPTIONS", "-c statement_timeout=0")
    with pytest.raises(SettingsError, match=r"^databases\.fitting: PGOPTIONS or a service file overrides"):
        looked_at(fitting=fitting)


def test_every_url_with_a_parameter_that_libpq_does_not_know_is_reported_at_once(fitting: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        looked_at(
            a=f"{fitting}?sslmod=require&conect_timeout=3", b=f"{fitting}?sslmod=require", c=f"sqlite:///{tmp_path}/c"
        )
    assert str(caught.value).splitlines() == [
        "databases.a.url: has conect_timeout, sslmod, which libpq has no parameters for; remove it",
        "databases.b.url: has sslmod, which libpq has no parameters for; remove it",
    ]


READY = b"Z\x00\x00\x00\x05I"
"""The end of what PostgreSQL says when somebody has connected."""


def test_a_database_that_goes_silent_after_it_has_let_a_worker_in_is_reported_and_the_others_are_looked_at(
    fitting: str,
) -> None:
    ended = threading.Event()

    def silenced(piece: bytes) -> bytes:
        begin, ready, _ = piece.partition(READY)
        if not ready:
            return piece
        let_in.append(begin)
        return begin + ready

    def change(piece: bytes) -> bytes:
        if let_in:
            ended.wait()
        return silenced(piece)

    let_in: list[bytes] = []
    port = urlsplit(fitting).port
    assert port is not None
    with passing_on(port, change) as way_in:
        try:
            reasons = looked_at(fitting=fitting, hung=fitting.replace(f":{port}/", f":{way_in}/"))
        finally:
            ended.set()
    assert reasons == {"hung": Causes.TIMEOUT.value.text}


def test_a_look_leaves_no_connection_behind(tmp_path: Path) -> None:
    """Without the collector of garbage, which may come late or never."""
    path = tmp_path / "cases.sqlite"
    path.touch()
    with engine_at(f"sqlite:///{path}") as engine:
        upgrade(engine)
    gc.disable()
    try:
        assert looked_at(file=f"sqlite:///{path}") == {}
        assert str(path) not in {one.path for one in psutil.Process().open_files()}
    finally:
        gc.enable()
