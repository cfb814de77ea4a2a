"""Server-sent events as a client reads them, by the rules of the HTML standard."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

TRIES = 50


@dataclass(frozen=True)
class SentEvent:
    """An event that was dispatched, and the last id by then."""

    name: str
    data: Any
    last_id: str


class Listening:
    """An open stream."""

    def __init__(self, response: httpx.Response) -> None:
        self.answer = response
        self.last_id = ""
        self.comments = 0
        self._lines = response.iter_lines()

    def events(self) -> Iterator[SentEvent]:
        """Each event but heartbeats, until the stream ends."""
        return (event for event in self.all() if event.name != "heartbeat")

    def all(self) -> Iterator[SentEvent]:
        name, data = "message", list[str]()
        for line in self._lines:
            field, _, value = line.partition(": ")
            if line == "":
                if data:
                    yield SentEvent(name, json.loads("\n".join(data)), self.last_id)
                name, data = "message", []
            elif line.startswith(":"):
                self.comments += 1
            elif field == "event":
                name = value
            elif field == "data":
                data.append(value)
            elif field == "id":
                self.last_id = value
            else:
                assert field == "retry"

    def until(self, name: str) -> list[SentEvent]:
        """The events up to the next one of a name; that one is among them."""
        seen = []
        for event in self.events():
            seen.append(event)
            if event.name == name:
                return seen
        raise AssertionError(f"the stream ended without {name}: {seen}")


@contextmanager
def listening(client: httpx.Client, path: str, last_id: str = "", **headers: str) -> Iterator[Listening]:
    """Listen as a browser would."""
    sent = {"accept": "text/event-stream", **({"last-event-id": last_id} if last_id else {}), **headers}
    with client.stream("GET", path, headers=sent, timeout=30) as response:
        if response.status_code == 200:
            assert response.headers["content-type"].startswith("text/event-stream")
        yield Listening(response)
