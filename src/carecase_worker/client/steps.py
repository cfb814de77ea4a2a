"""The steps of a call, free of I/O: requests to send, delays to sit out. Shells carry them out and reply.

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
"""What a request carries: bytes, or a function that begins to tell its pieces anew."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request to send; the shell adds the credentials."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    body: Body | None = field(default=None, repr=False)
    held: timedelta = timedelta()
    """The time for which the service may hold the answer on purpose."""
    silence: timedelta = timedelta(seconds=60)
    """The longest time in which nothing comes or goes, apart from that."""


@dataclass(frozen=True, slots=True)
class Delay:
    """A time to let pass; `reason` says what went wrong before, if it did."""

    duration: timedelta
    reason: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the service answered; header names are in lower case."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    content: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """There was none, and it was silent so long; the service may have done what was asked all the same."""

    reason: str
    silent: timedelta = timedelta()


Reply: TypeAlias = Answer | NoAnswer | None
"""What a step comes to: an answer or none for a request, None for a delay."""

Steps: TypeAlias = Generator[Request | Delay, Reply, T]

Moved: TypeAlias = Callable[[], None]
Notice: TypeAlias = Callable[[Request | Delay], AbstractContextManager[Moved]]
"""Told of every step that is carried out; gives a function that is called whenever a piece of a body has gone."""


@dataclass(frozen=True, slots=True)
class Result(Generic[T]):
    """What a call comes to."""

    value: T


def advance(steps: Steps[T], reply: Reply = None) -> Request | Delay | Result[T]:
    """The first step, or the one after that which `reply` is of. Raises what the call raises."""
    try:
        return steps.send(reply)
    except StopIteration as end:
        return Result(end.value)


def asked(request: Request) -> Steps[Answer | NoAnswer]:
    """The step of a request."""
    return cast(Answer | NoAnswer, (yield request))  # only a delay is replied to with None
