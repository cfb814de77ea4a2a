"""Names of files, and texts of a service, that a terminal or its library would obey: they are shown."""

import shlex
from pathlib import Path

import pytest
from tests.integration.cli.commands import Carecase
from tests.peers import JOB, Reply, a_job, accepted, answering, items, job_reply, problem

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


@pytest.mark.parametrize("named", [{"job_id": f"{JOB}{ORDERS}"}, {"job_id": f"{JOB}; rm -r ."}, {"state": ORDERS}])
@pytest.mark.parametrize("command", [("status", JOB), ("retry", JOB), ("jobs",)], ids=" ".join)
def test_what_is_no_id_or_state_of_a_job_is_no_job(
    carecase: Carecase, command: tuple[str, ...], named: dict[str, str]
) -> None:
    """Ids are in commands that are to be typed next."""
    reply = {"status": job_reply, "retry": accepted}.get(command[0], lambda **job: Reply(200, {"data": [a_job(**job)]}))
    with answering(reply(**named)) as peer:
        ran = carecase(*command, "--url", peer.url)
    assert (ran.status, ran.out, "this is not a response of the service" in ran.err) == (2, "", True)


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
