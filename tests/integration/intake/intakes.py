"""An intake without workers, in this process, over HTTP: tests decide what becomes of what it accepts."""

import hashlib
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Thread
from typing import Any

import httpx
import jwt
from tests.acceptance.system import eventually
from tests.builders import a_batch, a_case
from tests.plain_http import http_client
from tests.stores import Stores

from carecase_worker.batches.chunking import ChunkRef
from carecase_worker.batches.payloads import ChunkOutcomes, pack_done
from carecase_worker.cases.outcomes import CREATED, Outcome
from carecase_worker.intake.app import create_app
from carecase_worker.intake.server import server_of
from carecase_worker.settings.model import Settings
from carecase_worker.store.operations.claims import ChunkResult

SECRET = "a secret that only these tests know"
KEYS = {"ann": "the-key-of-ann", "bob": "the-key-of-bob"}
DATABASES = ("demo", "second", "third")
SETTLED = DATABASES[:2]
"""The databases whose order of acceptance a worker has settled."""


def settings_of(redis_url: str, prefix: str, **sections: Mapping[str, Any]) -> Settings:
    """Settings of an intake for which nothing is limited that is not said to be."""
    given: dict[str, Any] = {name: dict(section) for name, section in sections.items()}
    given["redis"] = {"url": redis_url, "prefix": prefix, **given.get("redis", {})}
    given["broker"] = {"prefix": f"b{prefix}", **given.get("broker", {})}
    given["intake"] = {"rate_per_second": 0, "refusal_hold_seconds": 0.001, **given.get("intake", {})}
    given["jwt"] = {"secret": SECRET, **given.get("jwt", {})}
    given["databases"] = {name: {"url": f"sqlite:///nowhere/{name}"} for name in DATABASES}
    given["clients"] = {
        name: {
            "api_key_sha256": [hashlib.sha256(key.encode()).hexdigest()],
            "databases": DATABASES[: 3 - place],
            **given.get("clients", {}).get(name, {}),
        }
        for place, (name, key) in enumerate(KEYS.items())
    }
    return Settings.model_validate(given)


@dataclass(frozen=True)
class Intake:
    """A running intake, and its job store."""

    url: str
    settings: Settings
    store: Stores

    def client(self, name: str = "ann", **headers: str) -> httpx.Client:
        """A client with good credentials, which sends JSON for the database `demo` and says nothing of itself."""
        token = jwt.encode({"sub": f"user of {name}", "client_id": name, "exp": 4_000_000_000}, SECRET, "HS256")
        made = http_client(base_url=self.url)
        made.headers = httpx.Headers(
            {
                "x-api-key": KEYS[name],
                "authorization": f"Bearer {token}",
                "vbasoftware-database": "demo",
                "content-type": "application/json",
                **headers,
            }
        )
        return made

    def send(self, *cases: dict[str, Any], path: str = "/care-cases-batch", **headers: str) -> str:
        """The job of a batch that is accepted."""
        with self.client(**headers) as client:
            response = client.put(path, content=a_batch(*(cases or (a_case(),))))
        assert response.status_code == 202, response.text
        return str(response.json()["job"]["jobId"])

    def finish(self, job_id: str, outcomes: Sequence[Outcome] = (CREATED,), first_key: int = 1) -> None:
        """Have this become of the items of a job, as a worker would; the keys count up."""
        job = self.store.jobs.job(job_id)
        self.store.leases.claim(ChunkRef(job_id, 0), "tests")
        for number in range(len(job.chunk_firsts)):
            places = job.places_of(number)
            outcomes_of_places = [outcomes[place] for place in places]
            done = ChunkOutcomes([first_key + place for place in places], outcomes_of_places)
            counts: dict[str, int] = {}
            for outcome in outcomes_of_places:
                counts[outcome.kind.counted_as] = counts.get(outcome.kind.counted_as, 0) + 1
            retryable = any(outcome.kind.retryable for outcome in outcomes_of_places)
            self.store.leases.complete(ChunkRef(job_id, number), ChunkResult(pack_done(done), counts, retryable))


@contextmanager
def an_intake(redis_url: str, prefix: str, **sections: Mapping[str, Any]) -> Iterator[Intake]:
    """Serve until the end; `sections` are settings by their names in the file."""
    settings = settings_of(redis_url, prefix, **sections)
    app = create_app(settings)
    server = server_of(app, settings.intake, app.state.end_waiting, app.state.shared)
    listening = socket.create_server(("127.0.0.1", 0))
    thread = Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    store = Stores(settings.redis, settings.jobs)
    for database in SETTLED:
        store.leases.settle(database, 0)
    try:
        eventually(lambda: server.started or not thread.is_alive(), what="the intake serves")
        yield Intake(f"http://127.0.0.1:{listening.getsockname()[1]}", settings, store)
    finally:
        server.should_exit = True
        thread.join(120)
        store.client.close()
    assert not thread.is_alive()
