"""Lifetimes as `carecase token new --expires` takes them."""

from datetime import timedelta

import pytest
from typer import BadParameter

from carecase_worker.cli.operating.tokens import lifetime_of


@pytest.mark.parametrize(
    ("expires", "lifetime"),
    [
        ("1m", timedelta(minutes=1)),
        ("8h", timedelta(hours=8)),
        ("30d", timedelta(days=30)),
        ("4w", timedelta(weeks=4)),
        ("366d", timedelta(days=366)),
        ("367d", None),
        ("999999999w", None),
        ("0h", None),
        ("-1h", None),
        ("8", None),
        ("8 hours", None),
        ("", None),
        ("٣h", None),
    ],
)
def test_a_token_is_valid_for_as_long_as_asked_up_to_a_year(expires: str, lifetime: timedelta | None) -> None:
    if lifetime is None:
        with pytest.raises(BadParameter, match="at most 366d"):
            lifetime_of(expires)
    else:
        assert lifetime_of(expires) == lifetime
