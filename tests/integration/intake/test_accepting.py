"""Connections that wait to be accepted: a pass of the event loop takes several, so that floods keep nobody waiting."""

import asyncio
import socket
from contextlib import closing

import pytest
import uvloop
from tests.integration.intake.own_time import Fence, on_one_processor
from tests.ports import free_port

from carecase_worker.errors import SettingsError
from carecase_worker.intake.server import listeners_of
from carecase_worker.settings.sections.intake import IntakeSettings

WAITING, AT_ONCE, SPARE = 80, 8, 5


async def passes_until_accepted(settings: IntakeSettings) -> int:
    """The passes of the loop until so many connections are accepted that came while it was busy."""
    loop, accepted, passes = asyncio.get_running_loop(), list[asyncio.BaseTransport](), 0

    class Accepted(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            accepted.append(transport)

    servers = [await loop.create_server(Accepted, sock=one, backlog=2048) for one in listeners_of(settings)]
    address = settings.host, settings.port
    clients = [socket.create_connection(address) for _ in range(WAITING)]  # the loop is held up meanwhile
    with closing(Fence()) as fence:
        fence.wait_for_packets()
    while len(accepted) < WAITING and passes <= WAITING * 2:
        await asyncio.sleep(0)
        passes += 1
    for client in clients:
        client.close()
    for server in servers:
        server.close()
    for transport in accepted:
        transport.close()
    return passes


def test_a_pass_of_the_event_loop_accepts_several_connections() -> None:
    settings = IntakeSettings(host="127.0.0.1", port=free_port())
    with on_one_processor(), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(passes_until_accepted(settings)) <= WAITING / AT_ONCE + SPARE


def test_a_port_that_is_taken_is_reported() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(SettingsError, match=r"intake\.port"):
        listeners_of(IntakeSettings(host="127.0.0.1", port=other.getsockname()[1]))
