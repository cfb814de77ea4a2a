"""Names of encodings in a Content-Type: those of Python's codecs, without asking Python for a client's text."""

import codecs
import encodings
from collections.abc import Iterator
from encodings.aliases import aliases
from pkgutil import iter_modules
from typing import get_args

import pytest
from tests.traced_memory import traced_memory

from carecase_worker.errors import BatchRefused
from carecase_worker.files.media_types import BodyFormat, MediaType, media_type_of
from carecase_worker.settings.sections.files import Encoding

OURS: dict[str, str] = {codecs.lookup(name).name: name for name in get_args(Encoding)} | {"ascii": "utf-8"}
PYTHONS = sorted({*aliases, *aliases.values(), *(module.name for module in iter_modules(encodings.__path__))})
LONG = "x" * 30_000


def encoding_of(charset: str) -> str | None:
    """The encoding by a Content-Type; None if that is refused."""
    try:
        return media_type_of(f'text/csv; charset="{charset}"').encoding
    except BatchRefused:
        return None


def as_python_finds(charset: str) -> str | None:
    try:
        return OURS.get(codecs.lookup(charset).name)
    except LookupError:
        return None


def spellings(name: str) -> Iterator[str]:
    yield from (name, name.upper(), f" {name}-", f"-{name}")
    yield from (name.replace("_", other) for other in ("-", " ", ".", "__"))


@pytest.mark.parametrize(
    ("charset", "encoding"),
    [("us-ascii", "utf-8"), ('"utf8"', "utf-8"), ("latin1", "iso-8859-1"), ("cp1252", "windows-1252")],
)
def test_an_encoding_goes_by_all_its_names(charset: str, encoding: str) -> None:
    assert media_type_of(f"text/csv; charset={charset}") == MediaType(BodyFormat.DELIMITED, encoding)


def test_every_name_that_python_knows_is_the_encoding_that_it_is_for_python() -> None:
    found = {spelt: encoding_of(spelt) for name in PYTHONS for spelt in spellings(name)}
    assert found == {spelt: as_python_finds(spelt) for spelt in found}
    assert set(found.values()) == {*get_args(Encoding), None}


def test_nothing_is_remembered_of_the_names_that_clients_send() -> None:
    encoding_of("unknown")
    with traced_memory() as memory:
        for number in range(20):
            assert encoding_of(f"{LONG}{number}") is None
    assert memory.left < len(LONG)
