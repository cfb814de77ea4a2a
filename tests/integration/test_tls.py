"""Redis and PostgreSQL by TLS: with the configured authority and no other. The wheels of the servers have no TLS."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.builders import a_new_job
from tests.services import Services
from tests.stores import Stores
from tests.tls import Certificates, certificates, tls_before

from carecase_worker.broker.celery_app import celery_app
from carecase_worker.broker.notifier import Notifier
from carecase_worker.errors import StoreUnavailable, TargetFailure
from carecase_worker.settings.loading import load
from carecase_worker.settings.model import Settings
from carecase_worker.store.rate_limit import RateLimiter
from carecase_worker.targets.engines import engine_for
from carecase_worker.targets.schema.migration import upgrade
from carecase_worker.targets.schema.state import schema_differences
from carecase_worker.targets.tenants import tenants_of


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates(tmp_path_factory.mktemp("tls") / "ours")


@pytest.fixture(scope="module")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates(tmp_path_factory.mktemp("tls") / "strangers")


@pytest.fixture
def secured(servers: Services, files: Certificates) -> Iterator[dict[str, str]]:
    """The URLs of both servers by TLS."""
    redis, postgres = urlsplit(servers.app_redis_url), urlsplit(servers.postgres_url)
    assert redis.port is not None
    assert postgres.port is not None
    with ExitStack() as stack:
        redis_port = stack.enter_context(tls_before(redis.port, files, client_ca=files.ca))
        postgres_port = stack.enter_context(tls_before(postgres.port, files, asks_first=True))
        yield {
            "redis": f"rediss://{redis.username}:{redis.password}@127.0.0.1:{redis_port}/0",
            "postgres": f"postgresql://{postgres.username}:{postgres.password}@127.0.0.1:{postgres_port}/demo",
        }


def settings(url: str, **redis: Path) -> Settings:
    files = {f"CARECASE_REDIS_{name.upper()}_FILE": str(path) for name, path in redis.items()}
    return load(
        environment={
            "CARECASE_REDIS_URL": url,
            "CARECASE_DATABASES_TLS_URL": "sqlite:///nowhere",
            "CARECASE_JOBS_RENOTIFY_AFTER_SECONDS": "0.001",
            **files,
        }
    )


def test_job_store_rates_and_broker_by_tls(secured: dict[str, str], files: Certificates) -> None:
    secured_settings = settings(secured["redis"], ca=files.ca, cert=files.certificate, key=files.key)
    store = Stores(secured_settings.redis, secured_settings.jobs)
    store.client.check()
    assert store.batches.admit(a_new_job(database="tls"), {0: b"items"}).to_notify
    asyncio.run(RateLimiter(secured_settings.redis, 1, 1).spend("tls"))
    notifier = Notifier(celery_app(secured_settings))
    notifier.notify("tls", store.leases.overdue("tls", 0))
    assert notifier.waiting("tls") == 1


def test_another_server_and_a_client_without_certificate_are_refused(
    secured: dict[str, str], files: Certificates, strangers: Certificates
) -> None:
    own = {"cert": files.certificate, "key": files.key}
    other_name = secured["redis"].replace("127.0.0.1", "localhost")
    for refused in (
        settings(secured["redis"], ca=strangers.ca, **own),
        settings(secured["redis"], **own),  # the system's authorities do not know ours
        settings(secured["redis"], ca=files.ca),
        settings(other_name, ca=files.ca, **own),
    ):
        with pytest.raises(StoreUnavailable):
            Stores(refused.redis, refused.jobs).client.ping()
        with pytest.raises(StoreUnavailable):
            Notifier(celery_app(refused)).waiting("tls")


def test_a_target_database_by_tls(secured: dict[str, str], files: Certificates, strangers: Certificates) -> None:
    def engine(query: str):  # type: ignore[no-untyped-def]
        loaded = load(environment={"CARECASE_DATABASES_D_URL": f"{secured['postgres']}?{query}"})
        return engine_for(tenants_of(loaded.databases)["d"])

    trusting = engine(f"sslmode=verify-full&sslrootcert={files.ca}")
    upgrade(trusting)
    assert schema_differences(trusting) == []
    trusting.dispose()
    with pytest.raises(TargetFailure):
        schema_differences(engine(f"sslmode=verify-full&sslrootcert={strangers.ca}"))
    with pytest.raises(TargetFailure):
        schema_differences(engine("sslmode=disable"))
