"""Processes that get ready, wait, and run at a word: what is timed is the running alone."""

import multiprocessing
import pkgutil
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from typing import Any

_LOADED_ONCE = ["bench.client", *(f"bench.contestants.{name}" for name in ("celery_client", "copying", "limit", "orm"))]


class BenchError(Exception):
    """The benchmark cannot go on, or must not."""


@contextmanager
def crew(target: str, members: Sequence[tuple[Any, ...]]) -> Iterator[Callable[[], list[Any]]]:
    """A process for each member; once all are ready, what makes them run and gives what each one found.

    `target` (module:function) is called in the process with the member's arguments, prepares, and answers with the
    function to run. Raises BenchError if a process ends early; it has said why on stderr.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_LOADED_ONCE)
    pipes: list[Connection] = []
    processes = []
    for arguments in members:
        ours, theirs = context.Pipe()
        process = context.Process(target=_member, args=(target, arguments, theirs), daemon=True)
        process.start()
        theirs.close()
        pipes.append(ours)
        processes.append(process)

    def run() -> list[Any]:
        for pipe in pipes:
            pipe.send("go")
        return [_heard(pipe, target) for pipe in pipes]

    try:
        for pipe in pipes:
            _heard(pipe, target)
        yield run
    finally:
        for pipe in pipes:
            pipe.close()
        for process in processes:
            process.join(2)
            process.kill()


def _heard(pipe: Connection, target: str) -> Any:
    try:
        return pipe.recv()
    except EOFError:
        raise BenchError(f"{target} ended early") from None


def _member(target: str, arguments: tuple[Any, ...], pipe: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer; its pipe's end ends this process
    run = pkgutil.resolve_name(target)(*arguments)
    with suppress(BrokenPipeError):  # it is over, and nobody wants to know any more
        pipe.send("ready")
        while _told(pipe):
            pipe.send(run())


def _told(pipe: Connection) -> bool:
    try:
        pipe.recv()
    except EOFError:
        return False
    return True
