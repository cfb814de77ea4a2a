"""Which servers are supported, by what they say of themselves."""

import pytest

from carecase_worker.store.redis.checkup import version_fault


@pytest.mark.parametrize(
    "server",
    [
        {"redis_version": "7.2.0"},
        {"redis_version": "7.4.2"},
        {"redis_version": "8.0.0"},
        {"redis_version": "10.0.1"},
        {"redis_version": "7.2.4", "server_name": "valkey", "valkey_version": "7.2.5"},
        {"redis_version": "7.2.4", "server_name": "valkey", "valkey_version": "9.1.2"},
    ],
)
def test_a_server_that_is_new_enough_is_supported(server: dict[str, str]) -> None:
    assert version_fault(server) is None


@pytest.mark.parametrize(
    ("server", "text"),
    [
        ({"redis_version": "7.0.15"}, "Redis 7.0.15 is not supported"),
        ({"redis_version": "6.2.14"}, "Redis 6.2.14 is not supported"),
        ({"redis_version": "6.3.4", "mvcc_depth": 0}, "Redis 6.3.4 is not supported"),
        ({"redis_version": "7.4.0", "dragonfly_version": "df-v1.30.0"}, "Dragonfly df-v1.30.0 is not supported"),
        ({"redis_version": "7.2.4", "kvrocks_version": "2.9.0"}, "Kvrocks 2.9.0 is not supported"),
        ({"redis_version": "7.2.4", "garnet_version": "1.0.84"}, "Garnet 1.0.84 is not supported"),
        ({"redis_version": ""}, "Redis of no version is not supported"),
        ({}, "Redis of no version is not supported"),
    ],
)
def test_another_one_is_refused_by_name_and_version(server: dict[str, str], text: str) -> None:
    fault = version_fault(server)
    assert fault is not None
    assert fault.startswith(text)
    assert "Redis 7.2 or newer" in fault
    assert "\n" not in fault
