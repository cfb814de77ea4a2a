"""Names of files, and texts of a service, that a terminal or its library would obey: they are shown."""

import shlex
from pathlib import Path

from tests.integration.cli.commands import Carecase
from tests.peers import JOB, accepted, answering, items, problem

ORDERS = "\x1b]0;renamed\x07\x1b[2J\x9b31m\u202e"
SIGNS = ("\x1b", "\x07", "\x9b", "\u202e")


def gives_no_orders(text: str) -> bool:
    """Tell whether a text is for eyes alone, and shows what it stands for."""
    return not any(sign in text for sign in SIGNS) and "\\x1b]0;renamed" in text


def test_a_refusal_is_shown(carecase: Carecase) -> None:
    with answering(problem(404, detail=f"No such job{ORDERS}.\nAsk for it.")) as peer:
        ran = carecase("status", JOB, "--url", peer.url)
    assert ran.status == 2
    assert gives_no_orders(ran.err)
    assert any(line.startswith("Ask for it.") for line in ran.err.splitlines()), "lines stay lines"


def test_a_result_is_shown(carecase: Carecase) -> None:
    with answering(items((1, 422, f"case_ID: {ORDERS}\nnext"))) as peer:
        ran = carecase("result", JOB, "--url", peer.url)
    assert gives_no_orders(ran.out)
    assert len(ran.out.splitlines()) == 3


def test_a_name_is_shown(carecase: Carecase, tmp_path: Path) -> None:
    file = tmp_path / f"cases{ORDERS}.csv"
    file.write_text("case_ID\n1\n")
    ran = carecase("files", "check", str(file))
    assert ran.status == 2
    assert gives_no_orders(ran.err)


MARKUP = "cases [red] :cat: [link=x].ndjson"


def test_what_looks_like_markup_is_shown_as_it_is_in_whatever_is_to_be_typed_next(
    carecase: Carecase, tmp_path: Path
) -> None:
    (tmp_path / MARKUP).write_bytes(b'{"case_Key":1}\n')
    with answering(accepted(state="completed", failed=1)) as peer:
        ran = carecase("submit", MARKUP, "--no-watch", "--url", peer.url)
    assert f"carecase failed {JOB} {shlex.quote(MARKUP)}\n" in ran.err
    missing = f"no {MARKUP}"
    assert missing in carecase("files", "check", missing).err
