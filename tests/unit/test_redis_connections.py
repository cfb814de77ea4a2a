"""Connections to Redis: none waits long for a server that is away, and an idle one is tried before it is trusted."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import redis
from redis.exceptions import ClusterDownError, MasterDownError

from carecase_worker.settings.model import RedisSettings
from carecase_worker.store.redis.connection import connect, connect_listener, connect_loop

OVER_TCP, OVER_TLS = "redis://h/0", "rediss://h/0"


def options_of(connected: Callable[..., Any], url: str, **options: Any) -> dict[str, Any]:
    """The options of a connection, as redis-py has them."""
    client = connected(RedisSettings.model_validate({"url": url}), **options)
    return dict(client.get_connection_kwargs())


@pytest.mark.parametrize("url", [OVER_TCP, OVER_TLS])
@pytest.mark.parametrize("connected", [connect, connect_loop, connect_listener])
def test_a_server_that_does_not_answer_is_given_up_soon(connected: Callable[..., Any], url: str) -> None:
    """Redis has five seconds to answer; an address at which nobody is has three."""
    options = options_of(connected, url)
    assert (options["socket_connect_timeout"], options["socket_timeout"]) == (3, 5)


@pytest.mark.parametrize("connected", [connect, connect_loop, connect_listener])
def test_a_server_behind_a_socket_has_five_seconds_to_answer_too(connected: Callable[..., Any]) -> None:
    assert options_of(connected, "unix:///run/redis.sock")["socket_timeout"] == 5


@pytest.mark.parametrize("connected", [connect, connect_loop])
@pytest.mark.parametrize("error", [redis.ReadOnlyError, ClusterDownError, MasterDownError])
def test_a_server_that_is_not_the_right_one_any_more_is_left(
    connected: Callable[..., Any], error: type[Exception]
) -> None:
    """After a failover, a connection that stays open would refuse every command for ever."""
    assert error in options_of(connected, OVER_TCP)["retry_on_error"]


@pytest.mark.parametrize("connected", [connect, connect_loop])
def test_whoever_can_wait_less_waits_less_for_a_connection_too(connected: Callable[..., Any]) -> None:
    options = options_of(connected, OVER_TCP, timeout=timedelta(seconds=1))
    assert (options["socket_connect_timeout"], options["socket_timeout"]) == (1, 1)


@pytest.mark.parametrize("connected", [connect, connect_loop])
def test_a_connection_that_was_idle_is_tried_before_a_command_is_sent_over_it(connected: Callable[..., Any]) -> None:
    """A firewall forgets idle connections; a command sent over one would wait for its timeout."""
    assert options_of(connected, OVER_TCP)["health_check_interval"] == 30
