"""A service that gives the answers of a test, over real HTTP: what a client may meet on the other end."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

JOB = "0199c0de-0000-7000-8000-000000000001"
COUNTS = ("processed", "created", "updated", "superseded", "failed", "cancelled")


@dataclass(frozen=True)
class Reply:
    """One answer; after `silence_s` seconds. A body that is no bytes is sent as JSON.

    If it is cut off, the connection ends a byte too early.
    """

    status: int
    body: Any = b""
    headers: dict[str, str] = field(default_factory=dict)
    silence_s: float = 0
    is_cut_off: bool = False


@dataclass(frozen=True)
class Received:
    """One request as it came in; header names are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Peer:
    """The service: where it is, the answers that are left, the requests so far."""

    url: str
    replies: list[Reply]
    received: list[Received] = field(default_factory=list)

    @property
    def calls(self) -> list[str]:
        """Method and path of each request."""
        return [f"{one.method} {one.path}" for one in self.received]


def a_job(state: str = "completed", total: int = 3, job_id: str = JOB, **members: Any) -> dict[str, Any]:
    """A job document; counts that are not given are 0, but for `processed`."""
    counts = dict.fromkeys(COUNTS, 0) | {"processed": sum(members.get(name, 0) for name in COUNTS[1:])}
    return {
        "jobId": job_id,
        "state": state,
        "database": "demo",
        "carePlanKey": None,
        "total": total,
        **counts,
        **members,
    }


def accepted(**members: Any) -> Reply:
    return Reply(202, {"data": None, "error": None, "debug": {}, "job": a_job(**{"state": "queued", **members})})


def job_reply(**members: Any) -> Reply:
    return Reply(200, {"data": a_job(**members), "error": None, "debug": {}})


def problem(status: int, detail: str = "So it is.", **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, {"data": None, "error": {"detail": detail}, "debug": {"activityID": "a-1"}}, named)


def items(*outcomes: tuple[int | None, int, str], pages: tuple[int, int] | None = None, **members: Any) -> Reply:
    """A multi-status of items, each by key, status and body."""
    data = [{"id": [{"key": "case_Key", "value": key}], "status": one, "body": body} for key, one, body in outcomes]
    for place, index in enumerate(members.get("indexes", ())):
        data[place]["index"] = index
    headers = {"x-pagination": json.dumps({"CurrentPage": pages[0], "TotalPages": pages[1]})} if pages else {}
    return Reply(207, {"data": data, "error": None}, headers)


@contextmanager
def answering(*replies: Reply) -> Iterator[Peer]:
    """Run a service that gives these answers, one after the other, and none beyond."""
    peer = Peer("", list(replies))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            peer.received.append(Received(self.command, self.path, headers, self._body(headers)))
            if not peer.replies:
                self.close_connection = True
                return
            reply = peer.replies.pop(0)
            ended.wait(reply.silence_s)
            content = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
            self.send_response(reply.status)
            self.close_connection |= reply.is_cut_off
            for name, value in {**reply.headers, "Content-Length": str(len(content) + reply.is_cut_off)}.items():
                self.send_header(name, value)
            with suppress(ConnectionError):  # the client may have left
                self.end_headers()
                self.wfile.write(content)

        def _body(self, headers: dict[str, str]) -> bytes:
            if headers.get("transfer-encoding") != "chunked":
                return self.rfile.read(int(headers.get("content-length", 0)))
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body

        do_GET = do_PUT = do_POST = do_DELETE = answer

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    ended = threading.Event()
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        peer.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield peer
        finally:
            ended.set()
            server.shutdown()
            thread.join()
