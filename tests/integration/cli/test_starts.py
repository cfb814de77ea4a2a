"""What keeps a role from its start: each ends with what to do, before it serves anybody."""

from collections.abc import Mapping

import pytest
from tests.integration.cli.commands import Carecase

NO_CALLER = "jwt.secret: is not set, so no token is valid and no caller could authenticate"
NO_REDIS = "redis.url is redis://127.0.0.1:1/0; carecase doctor checks it and the rest."
SECRET = {"JWT_SECRET": "0123456789abcdef" * 2}


@pytest.mark.parametrize(
    ("role", "variables", "text"),
    [
        ("intake", {}, NO_CALLER),
        ("intake", SECRET, NO_REDIS),
        ("intake", {"INTAKE_REQUIRE": "either"}, NO_REDIS),
        ("worker", {}, NO_REDIS),
    ],
)
def test_a_role_that_could_not_do_its_part_does_not_start(
    carecase: Carecase, monkeypatch: pytest.MonkeyPatch, role: str, variables: Mapping[str, str], text: str
) -> None:
    for name, value in {"REDIS_URL": "redis://127.0.0.1:1/0", **variables}.items():
        monkeypatch.setenv(f"CARECASE_{name}", value)
    ran = carecase(role)
    assert (ran.status, ran.out, text in ran.err) == (2, "", True), ran.err
