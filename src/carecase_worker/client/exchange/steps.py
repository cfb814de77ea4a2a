"""The steps of a call, free of I/O: requests to send, delays to wait for. The clients execute them and reply.

steps = calls.wait("0199…")
advance(steps)                      Request("GET", "/jobs/0199…", …)
advance(steps, Answer(200, …))      Delay(3 s): the job is not final
advance(steps)                      Request("GET", "/jobs/0199…", …)
advance(steps, Answer(200, …))      Result(Job(…))
"""

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Generic, TypeAlias, TypeVar, cast

T = TypeVar("T")

Body: TypeAlias = bytes | Callable[[], Iterator[bytes]]
"""The body of a request: bytes, or a function that yields its pieces from the beginning."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request to send; the client adds the credentials."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    body: Body | None = field(default=None, repr=False)
    long_poll: timedelta = timedelta()
    """The time of a long poll, for which the service may delay the response."""
    silence: timedelta = timedelta(seconds=60)
    """The timeout of an idle connection, in addition to that."""
    take: Callable[[bytes], None] | None = field(default=None, repr=False)
    """A callback for each piece of a successful response, which is then not buffered."""


@dataclass(frozen=True, slots=True)
class Delay:
    """A delay; `reason` describes the failure before it, if there was one."""

    duration: timedelta
    reason: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Response:
    """A response of the service; header names are in lower case."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    content: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class NoResponse:
    """A request without a response for `silent`; the service may have executed it nevertheless."""

    reason: str
    silent: timedelta = timedelta()


Reply: TypeAlias = Response | NoResponse | None
"""The result of a step: Answer or NoAnswer for a request, None for a delay."""

Steps: TypeAlias = Generator[Request | Delay, Reply, T]

Moved: TypeAlias = Callable[[], None]
Notice: TypeAlias = Callable[[Request | Delay], AbstractContextManager[Moved]]
"""A function called with every step; its context gives a function that is called when a piece of a body is sent."""


@dataclass(frozen=True, slots=True)
class Result(Generic[T]):
    """The result of a call."""

    value: T


def advance(steps: Steps[T], reply: Reply = None) -> Request | Delay | Result[T]:
    """Return the first step, or the one after the step that `reply` belongs to. Raises the errors of the call."""
    try:
        return steps.send(reply)
    except StopIteration as end:
        return Result(end.value)


def asked(request: Request) -> Steps[Response | NoResponse]:
    """Make a request the next step, and return its reply."""
    return cast(Response | NoResponse, (yield request))  # None replies to a delay only
