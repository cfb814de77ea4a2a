"""The mistakes that are put in, and those that are not because nobody could notice them."""

import ast
from pathlib import Path

import pytest
from mutmut.mutation import mutators
from tests.mutants import lua, python

MODULE = "src/carecase_worker/jobs/some.py"
STATEMENT = "src/carecase_worker/targets/some.py"
SETTINGS = "src/carecase_worker/settings/sections/intake.py"
SCRIPT = "src/carecase_worker/store/lua/some.lua"


def becomes(path: str, text: str) -> set[str]:
    """All that the operators make of a text, Python without regard to how it is laid out."""
    if path.endswith(".lua"):
        return {mutant.mutated for mutant in lua.mutants_of(path, text)}
    return {plain(mutant.mutated) for mutant in python.mutants_of(path, text)}


def plain(text: str) -> str:
    return ast.unparse(ast.parse(text))


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("kept = at > limit", "kept = at >= limit"),
        ("kept = a and b", "kept = a or b"),
        ("wait = 5", "wait = 6"),
        ("keep(a, expires=b)", "keep(a)"),
        ("keep(a, expires=b)", "pass"),
        ("total += 1", "pass"),
        ("found[key] = 1", "pass"),
        ("def f():\n    return found", "def f():\n    return None"),
        ("if is_known(a):\n    keep(a)", "if not (is_known(a)):\n    keep(a)"),
        ("found = [a for a in b if a.known]", "found = [a for a in b if not (a.known)]"),
        ("STATES = {\n    53: FULL,\n    55: LOCKED,\n}", "STATES = {53: FULL}"),
        ("try:\n    f()\nexcept LimitExceeded:\n    g()", "try:\n    f()\nexcept ():\n    g()"),
        ("try:\n    f()\nexcept (A, B):\n    g()", "try:\n    f()\nexcept (B,):\n    g()"),
        ("for job in jobs:\n    keep(job)", "for job in ():\n    keep(job)"),
        ("@cache\ndef f(): g()", "\ndef f(): g()"),
        ("least = min(a, b)", "least = max(a, b)"),
        ("name = 'job'", "name = 'XXjob'"),
        ("key = f'{a}job:{b}'", "key = f'{a}XXjob:{b}'"),
        ("if a:\n    f(\n        b,\n        c=d,\n    )", "if a:\n    f(\n        b,\n    )"),
    ],
)  # fmt: skip
def test_a_mistake_in_python_is_made(text: str, mistake: str) -> None:
    assert plain(mistake) in becomes(MODULE, text)


@pytest.mark.parametrize(
    "text",
    [
        '"""A docstring."""',
        "from a import b",
        "job: Job",
        "JobId = NewType('JobId', str)",
        "Keys: TypeAlias = Mapping[str, int]",
        "__all__ = ['a', 'b']",
        "@dataclass(frozen=True, slots=True)\nclass A: ...",
        "if TYPE_CHECKING:\n    a = 1",
        "assert_never(state)",
        "message: str = cast('str', b)",
    ],
)
def test_nobody_would_notice_a_mistake_here(text: str) -> None:
    assert {mistake for mistake in becomes(MODULE, text) if not mistake.endswith("= None")} == set()


def test_the_wording_of_a_sentence_is_left_alone() -> None:
    assert becomes(MODULE, "f('The batch is too large.')") == {"f(None)", "pass"}


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("run('UPDATE a SET b = 1 WHERE c < 2')", "run('UPDATE a SET b = 1 WHERE c <= 2')"),
        ("run('SELECT a FROM b WHERE c AND d')", "run('SELECT a FROM b WHERE c OR d')"),
        ("run('SELECT a FROM b ORDER BY a')", "run('SELECT a FROM b')"),
        ("run(f'SELECT a FROM {b} WHERE c IS NULL')", "run(f'SELECT a FROM {b} WHERE c IS NOT NULL')"),
        ("run('SELECT a FROM b LIMIT 5')", "run('SELECT a FROM b LIMIT 6')"),
    ],
)
def test_a_mistake_in_sql_is_made(text: str, mistake: str) -> None:
    assert plain(mistake) in becomes(STATEMENT, text)
    assert plain(mistake) not in becomes(MODULE, text)


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("if n > 0 then return 1 end\n", "if n >= 0 then return 1 end\n"),
        ("if n > 0 then return 1 end\n", "if not (n > 0) then return 1 end\n"),
        ("redis.call('PERSIST', payload)\n", "\n"),
        ("if a then redis.call('DEL', b) end\n", "if a then  end\n"),
        ("redis.call('SET', a, b, 'PX', c)\n", "redis.call('SET', a, b, 'PX')\n"),
        ("local a = key('due', b)\n", "local a = key('XXdue', b)\n"),
        ("for _, a in ipairs(b) do f(a) end\n", "for _, a in ipairs({}) do f(a) end\n"),
        ("n = n + 1\n", "n = n - 1\n"),
        ("n = n + 1\n", "\n"),
        ("return 'kept'\n", "return false\n"),
        ("f(ARGV[3])\n", "f(ARGV[4])\n"),
    ],
)
def test_a_mistake_in_lua_is_made(text: str, mistake: str) -> None:
    assert mistake in becomes(SCRIPT, text)


def test_comments_and_commands_of_lua_are_left_alone() -> None:
    assert becomes(SCRIPT, "-- 1 and 2\nlocal a = f('GET')\n") == set()


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("class A:\n    a: Count = Field(1 << 30, description='b c')", "(1 << 30) * 2"),
        ("class A:\n    a: Seconds = seconds_setting('a', 60, 'b c')", "60 * 2"),
        ("class A:\n    a: Literal['b', 'c'] = Field('b', description='d e')", "Field('c'"),
    ],
)
def test_a_mistake_in_a_default_is_made(text: str, mistake: str) -> None:
    assert any(mistake in mutated for mutated in becomes(SETTINGS, text))


def test_the_defaults_of_the_sections_are_found() -> None:
    """They are recognised by the names of the functions that make them."""
    text = (Path(__file__).parents[2] / SETTINGS).read_text("utf-8")
    mistakes = [mutant.instead for mutant in python.mutants_of(SETTINGS, text)]
    assert "(60) * 2" in mistakes, "of max_wait"
    assert sum(instead.endswith(") * 2") for instead in mistakes) > 10


def test_every_mistake_is_one_and_stands_where_it_is_said_to() -> None:
    text = "def f(a):\n    if a > 1 and g(a, b=2):\n        return [1, 2]\n    h(a)\n"
    for mutant in python.mutants_of(MODULE, text):
        assert mutant.mutated != text
        assert mutant.before in {line.strip() for line in text.splitlines()}
        assert mutant.diff.count("\n-") == 1
        compile(mutant.mutated, MODULE, "exec")


def test_the_operators_of_mutmut_are_where_they_were() -> None:
    assert {mutators.operator_string, mutators.operator_match} <= {made for _, made in mutators.mutation_operators}
