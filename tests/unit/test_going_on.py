"""The rest of a response, which a connection sends once the application has returned."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from carecase_worker.intake.http.connections.going_on import GOING_ON, Rest, going_on


class Noted:
    """A rest that notes what it is told."""

    def __init__(self, scope: dict[str, Any]) -> None:
        self.scope, self.calls = scope, list[object]()

    async def go_on(self, send: Any) -> None:
        self.calls.append(("go on", set(self.scope)))

    def leave(self) -> None:
        self.calls.append("leave")


@pytest.mark.parametrize("disconnected", [False, True])
def test_who_has_disconnected_meanwhile_is_not_waited_for(disconnected: bool) -> None:
    scope: dict[str, Any] = {"type": "http", "method": "GET", "http_version": "1.1", "headers": [], "kept": 1}
    cycle: Any = SimpleNamespace(disconnected=disconnected)
    rest: list[Rest] = []
    noted = Noted(scope)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope[GOING_ON].append(noted)

    nothing: Any = None
    served: Any = going_on(cycle, app, rest, frozenset({"kept"}))(scope, nothing, nothing)
    asyncio.run(served)
    assert noted.calls == [*["leave"] * disconnected, ("go on", {"type", "method", "http_version", "kept"})]
    assert rest == [], "another request of the connection begins with none"
