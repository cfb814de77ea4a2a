"""What `--help` says: each command, argument and option has a description."""

import re
from collections.abc import Iterator

from tests.integration.cli.commands import Carecase


def listed(text: str, section: str) -> dict[str, str]:
    """The entries of a section of a help text, each with its description."""
    entries: dict[str, str] = {}
    for line in text.partition(f"\n{section}:\n")[2].partition("\n\n")[0].splitlines():
        if begins := re.fullmatch(r"  (\S+(?: \S+)*)(?:\s{2,}(.*))?", line):
            name = begins[1]
            entries[name] = begins[2] or ""
        else:
            entries[name] += line.strip()
    return entries


def help_texts(carecase: Carecase, *command: str) -> Iterator[tuple[str, str]]:
    """The help text of a command and of all below it."""
    ran = carecase(*command, "--help")
    assert (ran.status, ran.err) == (0, "")
    yield " ".join(command), ran.out
    for name in listed(ran.out, "Commands"):
        yield from help_texts(carecase, *command, name)


def test_each_command_argument_and_option_has_a_description(carecase: Carecase) -> None:
    described = {
        f"{command} {name}": text
        for command, page in help_texts(carecase)
        for section in ("Commands", "Arguments", "Options")
        for name, text in listed(page, section).items()
    }
    assert len(described) > 100
    assert {name for name in described if name.startswith(" -")} == {" --version", " --help"}
    assert [name for name, text in described.items() if not text.partition("[default:")[0].strip()] == []
