"""The tool behind `make coverage`, on texts."""

import pytest
from tests.line_coverage.gaps import Excuse, Gap
from tests.line_coverage.lua import Statement, instrumented, reached, statements

SCRIPT = """#!lua flags=allow-oom
-- if this were code, it would be one statement
local job, n = ARGV[1], ARGV[2]
if redis.call('EXISTS', job) == 0 then return 'gone' end
for _, one in ipairs({1, 2}) do
  redis.call('SET', job, 'if x then return end')
  disconnect(one)
end
if n then n = 1
elseif job then redis.call('DEL', job)
else
  kept[#kept + 1] = {job,
    n}
end
local function whole(number) return number end
return whole(n)
"""
PLACES = [
    (3, 1),
    (4, 1),
    (4, 40),
    (5, 1),
    (6, 3),
    (7, 3),
    (9, 1),
    (9, 11),
    (10, 17),
    (12, 3),
    (15, 1),
    (15, 30),
    (16, 1),
]


def test_each_statement_of_a_script_is_found_where_it_begins() -> None:
    assert list(statements("claim", SCRIPT)) == [Statement("claim", line, column) for line, column in PLACES]


def test_a_script_that_notes_what_it_reaches_has_the_same_lines_and_nothing_but_the_notes_more() -> None:
    noting = instrumented("claim", SCRIPT)
    notes = [f"reached('claim:{line}:{column}') " for line, column in PLACES]
    without = noting
    for note in notes:
        assert noting.count(note) == 1
        without = without.replace(note, "")
    assert without == SCRIPT


def test_what_was_reached_is_read_from_a_log() -> None:
    log = "1:M 26 Nov 2026 19:00:00.000 # reached-lua claim:4:40\n1:M 26 Nov # Ready\n1:M # reached-lua prelude:16:1\n"
    assert reached(log) == {Statement("claim", 4, 40), Statement("prelude", 16, 1)}


@pytest.mark.parametrize(("line", "covered"), [(1, False), (2, True), (3, True), (5, True), (6, False)])
def test_a_reason_is_for_its_line_and_what_is_below_it(line: int, covered: bool) -> None:
    lines = ["def ask() -> None:", "    if late:", "        call()", "", "        end()", "    return"]
    excuse = Excuse("a.py", "if late:", "nobody is ever late")
    assert excuse.covers(Gap("a.py", line, "never to line 3"), lines) == covered
    assert not excuse.covers(Gap("b.py", line), lines)
