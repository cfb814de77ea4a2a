"""A file of a watched folder, sent to a service that gives the answers of a test."""

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any

from rich.console import Console
from tests.peers import Peer, Reply, accepted, answering, items, job_reply

from carecase_worker.cli.sending.dropping import DropMapping, DropOptions, Dropping, Filed
from carecase_worker.client.access import Access
from carecase_worker.client.api import connect_to
from carecase_worker.client.exchange.verdicts import RetryPolicy
from carecase_worker.client.files.folder import Folder

ROWS = "case_Key,carePlan_Key,do_Not_Contact\n1,5,false\n2,5,false\n"
OPTIONS = DropOptions(settle=0)


@contextmanager
def dropping(
    place: Path, *replies: Reply, options: DropOptions = OPTIONS, database: str = "d"
) -> Iterator[tuple[Dropping, Peer, StringIO]]:
    """The sender of a folder's files, the service, and what the sender prints."""
    printed, folder = StringIO(), Folder(place)
    with answering(*replies) as peer, folder.watched():
        access = Access(peer.url, api_key="k", token="t", database=database)
        with connect_to(access, RetryPolicy(tries=1)) as client:
            console = Console(file=printed, highlight=False, soft_wrap=True)
            yield Dropping(client, folder, options, console, DropMapping.of(options)), peer, printed


def send(one: Dropping) -> list[Filed]:
    return [one.send(file) for file in one.folder.taken(0, 0)]


def acknowledged(file: Path) -> list[dict[str, Any]]:
    with file.open(newline="") as written:
        return list(csv.DictReader(written))


def applied() -> tuple[Reply, ...]:
    return accepted(total=2), job_reply(total=2, created=2), items((1, 201, ""), (2, 201, ""), pages=(1, 1))
