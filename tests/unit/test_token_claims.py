"""The claims of a bearer token: its times with some leeway, its audience and its issuer."""

from datetime import timedelta
from typing import Any

import pytest
from tests.unit.credentials import ANN, EXPIRED, KEY, LEEWAY, NOT_VALID, SECRET, at, gate, refused, token

from carecase_worker.errors import AccessFault
from carecase_worker.settings.sections.access import JwtSettings

MARGIN = timedelta(seconds=100)
"""How much later than its making a token may be checked on a busy machine."""


@pytest.mark.parametrize(
    ("claim", "offset", "words"),
    [
        ("exp", -LEEWAY + MARGIN, None),
        ("exp", -LEEWAY, EXPIRED),
        ("exp", -2 * LEEWAY, EXPIRED),
        ("nbf", LEEWAY, None),
        ("nbf", LEEWAY + MARGIN, NOT_VALID),
        ("iat", LEEWAY, None),
        ("iat", LEEWAY + MARGIN, NOT_VALID),
    ],
)
def test_a_clock_that_is_a_little_off_is_forgiven(claim: str, offset: timedelta, words: str | None) -> None:
    changes: dict[str, Any] = {claim: at(offset)}
    authorization = token(**changes)
    if words is None:
        assert gate().caller(KEY, authorization) == ANN
    else:
        assert refused(gate(), KEY, authorization) == (AccessFault.BAD_CREDENTIALS, words)


def test_audience_and_issuer_count_only_where_they_are_configured() -> None:
    tokens = JwtSettings.model_validate({"secret": SECRET})
    for changes in ({"aud": "others"}, {"aud": None}, {"iss": "others"}, {"iss": None}, {"aud": ["a", "b"]}):
        assert gate(tokens=tokens).caller(KEY, token(**changes)) == ANN
    for name in ("audience", "issuer"):
        one = JwtSettings.model_validate({"secret": SECRET, name: "expected"})
        assert gate(tokens=one).caller(KEY, token(**{name[:3]: "expected"})) == ANN
        assert refused(gate(tokens=one), KEY, token(**{name[:3]: "others"}))[1] == NOT_VALID
