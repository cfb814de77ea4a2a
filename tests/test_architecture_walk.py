"""The walk of one batch in ARCHITECTURE.md is true: each hop exists, and a batch takes them in that order."""

import ast
import base64
import re
import secrets
import subprocess
import sys
from pathlib import Path

import pytest
from tests.builders import a_batch, a_case
from tests.integration.intake.intakes import an_intake
from tests.integration.targets.databases import a_database, engine_at
from tests.services import Services
from tests.tracing import PACKAGE, first_calls

from carecase_worker.settings.loading import process_environment
from carecase_worker.targets.schema.migration import upgrade

ROOT = Path(__file__).parent.parent
WALK = (ROOT / "ARCHITECTURE.md").read_text().partition("## A walk of one batch")[2].partition("\n## ")[0]
HOPS = re.findall(r"`([a-z_/]+\.py): ([\w.]+)`", WALK)
SCRIPTS = re.findall(r"`(store/lua/\w+\.lua)`", WALK)
CHUNKS = 4
LINKED = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", (ROOT / "ARCHITECTURE.md").read_text())


def defined(body: list[ast.stmt], name: str) -> bool:
    """Tell if there is a function or method of a dotted name."""
    first, _, rest = name.partition(".")
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.name == first:
            return not rest or defined(node.body, rest)
    return False


def test_the_walk_names_each_hop_once() -> None:
    assert len(HOPS) > 30
    assert len(HOPS) == len(set(HOPS))


@pytest.mark.parametrize(("module", "name"), HOPS)
def test_each_hop_exists(module: str, name: str) -> None:
    assert defined(ast.parse((PACKAGE / module).read_text()).body, name)


def test_each_script_and_page_that_is_named_exists() -> None:
    assert SCRIPTS
    assert [script for script in SCRIPTS if not (PACKAGE / script).is_file()] == []
    assert [page for page in LINKED if not (ROOT / page).exists()] == []


@pytest.fixture(scope="module")
def calls(servers: Services) -> list[str]:
    """Every function that one batch goes through, from the PUT to its result, by when it is first called."""
    url, prefix = a_database(servers), "walk:"
    keys = f"k1:{base64.b64encode(secrets.token_bytes(32)).decode()}"
    variables = {
        "CARECASE_REDIS_URL": servers.redis_url,
        "CARECASE_REDIS_PREFIX": prefix,
        "CARECASE_BROKER_PREFIX": f"b{prefix}",
        "CARECASE_DATABASES_DEMO_URL": url,
        "CARECASE_ENCRYPTION_KEYS": keys,
    }
    # members that are not known are ignored: with them, sixty cases are enough for chunks that are staged; the last
    # chunk is small once it is compressed, as that of most batches is
    remarks = [*(secrets.token_hex(100_000) for _ in range(60)), *["x" * 200_000] * 5]
    body = a_batch(*(a_case(key, remark=remark) for key, remark in enumerate(remarks)))
    with engine_at(url) as engine:
        upgrade(engine)
    with first_calls() as sent, an_intake(servers.redis_url, prefix, encryption={"keys": keys}) as intake:
        sent.clear()
        with intake.client() as client:
            response = client.put("/care-plans/5/cases-batch", content=body)
            assert response.status_code == 202, response.text
            job_id = response.json()["job"]["jobId"]
            applied = subprocess.run(
                [sys.executable, "-m", "tests.traced_worker", job_id, str(CHUNKS)],
                cwd=ROOT,
                env={**process_environment(), **variables},
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            ).stdout.splitlines()
            accepted = list(sent)
            result = client.get(f"/jobs/{job_id}/result")
        assert result.status_code == 207, result.text
        assert {item["status"] for item in result.json()["data"]} == {201}
        return [*accepted, *applied, *list(sent)[len(accepted) :]]


def test_a_batch_takes_the_hops_in_that_order(calls: list[str]) -> None:
    named = [f"{module}: {name}" for module, name in HOPS]
    assert [hop for hop in named if hop not in calls] == []
    assert named == sorted(named, key=calls.index)
