"""A worker as it is started delivers what is due, with links that lead through the proxy in front of the service."""

import subprocess
from dataclasses import replace
from pathlib import Path

from tests.acceptance.system import COMMAND, eventually
from tests.builders import a_new_job
from tests.receiver import SECRET, receiving
from tests.services import Services
from tests.stores import Stores

from carecase_worker.batches.chunking import ChunkRef
from carecase_worker.settings.loading import load, process_environment
from carecase_worker.store.operations.claims import ChunkResult
from carecase_worker.store.outbox import Outbox, webhooks_of


def test_it_delivers_with_links_below_the_prefix_of_the_service_however_seldom_it_sweeps(
    servers: Services, tmp_path: Path
) -> None:
    with receiving() as receiver:
        settings = {
            "REDIS_URL": servers.redis_url,
            "REDIS_PREFIX": "delivering:",
            "BROKER_PREFIX": "deliveringb:",
            "DATABASES_DEMO_URL": f"sqlite:///{tmp_path}/nowhere.sqlite",
            "DELIVERY_PRIVATE_NETWORKS": "127.0.0.0/8",
            "INTAKE_ROOT_PATH": "/tools/carecase",
            "WEBHOOKS_CRM_CLIENT": "demo",
            "WEBHOOKS_CRM_SECRETS": SECRET,
            "WEBHOOKS_CRM_URL": receiver.url,
            "WORKER_CONCURRENCY": "1",
            "WORKER_SWEEP_SECONDS": "86400",
        }
        variables = {f"CARECASE_{name}": value for name, value in settings.items()}
        loaded = load(environment=variables)
        store = Stores(loaded.redis, loaded.jobs)
        outbox = Outbox(store.client)

        def complete_a_job() -> str:
            new = replace(a_new_job(), webhooks=webhooks_of(loaded.webhooks)["demo"])
            store.batches.admit(new, {0: b"p"})
            store.leases.complete(ChunkRef(new.job_id, 0), ChunkResult(b"o", {"created": 1}))
            return new.job_id

        jobs = [complete_a_job()]
        process = subprocess.Popen([*COMMAND, "worker"], cwd=tmp_path, env={**process_environment(), **variables})
        try:
            eventually(lambda: not outbox.state("crm").waiting, what="the first event is delivered")
            jobs.append(complete_a_job())
            eventually(lambda: len(receiver.received) == 2, what="so is a later one")
        finally:
            process.terminate()
            process.wait(120)
            store.client.close()
    links = [f"/tools/carecase/jobs/{job_id}" for job_id in jobs]
    assert [one.content["data"]["links"] for one in receiver.received] == [
        {"self": link, "result": f"{link}/result"} for link in links
    ]
