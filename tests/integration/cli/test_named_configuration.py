"""Each command that takes `--config` reads that file, and names it once if it cannot."""

import pytest
from tests.integration.cli.commands import Carecase

COMMANDS = (
    "intake", "worker", "flower", "top", "workers", "db check", "db current", "db upgrade", "audit verify",
    "keys rewrap", "token new --client crm --subject ann", "webhooks list", "webhooks failed crm",
    "webhooks replay crm", "webhooks test crm",
)  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_a_file_that_is_not_there_is_named_once(carecase: Carecase, command: str) -> None:
    ran = carecase(*command.split(), "--config", "nowhere.toml")
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.count("nowhere.toml: cannot be read") == 1
    assert ran.err.count("Configuration used: nowhere.toml (--config)") == 1
