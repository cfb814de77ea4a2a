"""The house rules that a linter does not hold."""

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from sqlalchemy import make_url
from tests.docstrings import BEGIN, questions

from carecase_worker.settings.urls.targets import SCHEMES
from carecase_worker.targets.dialects.registry import DIALECTS

SOURCE = Path(__file__).parent.parent / "src" / "carecase_worker"
MODULES = sorted(SOURCE.rglob("*.py"))
VAGUE = {"utils", "common", "helpers", "base", "core", "manager", "service"}
HOMES = {
    "fastapi": ("intake/",),
    "starlette": ("intake/",),
    "uvicorn": ("intake/",),
    "redis": ("store/redis/connection.py",),
    "sqlalchemy": ("targets/",),
    "psycopg": ("targets/dialects/postgresql/",),
    "sqlite3": ("targets/dialects/sqlite/",),
    "alembic": ("targets/schema/",),
    "prometheus_client": ("telemetry.py",),
    "structlog": ("telemetry.py",),
    "opentelemetry": ("tracing/otlp.py", "tracing/sending.py"),
    "celery": ("broker/", "flower/", "worker/"),
    "kombu": ("broker/", "worker/"),
    "billiard": ("worker/",),
    "flower": ("flower/",),
    "tornado": ("flower/",),
    "typer": ("cli/",),
    "rich": ("cli/",),
    "httpx": ("client/",),
    "zstandard": (
        "batches/payloads.py",
        "batches/decoding.py",
        "batches/zstd_frames.py",
        "intake/http/responses/compression.py",
        "client/files/sources.py",
    ),
    "cryptography": ("batches/encryption.py", "store/redis/certificates.py"),
    "standardwebhooks": ("worker/webhooks/messages.py",),
    "jwt": ("intake/access/authenticator.py", "intake/access/jwks.py", "tokens.py"),
}
KNOWS_DIALECTS = ("targets/dialects/", "settings/urls/targets.py")
"""Who knows dialects by name: their own room, and the grammar of URLs, which is checked before anything is opened."""
A_DIALECT = re.compile(r"(?:postgresql|sqlite|mysql|mariadb|mssql|oracle)\b")
ASKS_FOR_A_DIALECT = frozenset({"get_backend_name", "get_driver_name", "get_dialect", "drivername"})
BROAD_EDGES = {
    "intake/http/middleware/access_log.py": 1,
    "worker/app.py": 1,
    "worker/processes/pool_process.py": 2,
    "cli/ending.py": 1,
}


def name_of(module: Path) -> str:
    return module.relative_to(SOURCE).as_posix()


@cache
def tree_of(module: Path) -> ast.Module:
    return ast.parse(module.read_text("utf-8"))


def nodes_of(module: Path) -> Iterator[ast.AST]:
    return ast.walk(tree_of(module))


def imports_of(module: Path) -> Iterator[str]:
    for node in nodes_of(module):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def test_modules_are_short_and_well_named() -> None:
    assert [name_of(module) for module in MODULES if len(module.read_text().splitlines()) > 300] == []
    named = [(module, module.stem) for module in MODULES]
    named += [(module, node.name) for module in MODULES for node in nodes_of(module) if isinstance(node, ast.ClassDef)]
    assert [f"{name_of(module)}: {name}" for module, name in named if name.lower() in VAGUE] == []


def test_modules_and_what_they_offer_say_what_they_promise() -> None:
    assert [name_of(module) for module in MODULES if not ast.get_docstring(tree_of(module))] == []
    public = [
        (module, node)
        for module in MODULES
        for node in tree_of(module).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_")
    ]
    assert [f"{name_of(module)}: {node.name}" for module, node in public if not ast.get_docstring(node)] == []


def test_a_docstring_begins_with_no_question_word() -> None:
    asked = [f"{name_of(module)}:{question}" for module in MODULES for question in questions(tree_of(module))]
    assert asked == [], BEGIN


def test_a_room_has_about_a_dozen_modules() -> None:
    rooms = Counter(name_of(module.parent) for module in MODULES if module.name != "__init__.py")
    del rooms["."]  # the package itself, whose rooms these are
    assert [f"{room}: {count}" for room, count in rooms.items() if count > 14] == [], "cut it by concern"


def test_a_package_has_a_docstring_only() -> None:
    packages = [module for module in MODULES if module.name == "__init__.py"]
    assert [name_of(one) for one in packages if [type(node) for node in tree_of(one).body] != [ast.Expr]] == []


def test_each_third_party_stays_in_its_home() -> None:
    imports = [(name_of(module), imported) for module in MODULES for imported in imports_of(module)]
    homes = {(name, imported): HOMES.get(imported.partition(".")[0], "") for name, imported in imports}
    assert [f"{imported} in {name}" for name, imported in imports if not name.startswith(homes[name, imported])] == []


def spelt_in(node: ast.AST) -> Iterator[ast.expr]:
    """The expressions by which a node distinguishes things: compared, matched, looked up, or asked how they begin."""
    match node:
        case ast.Compare():
            yield from (node.left, *node.comparators)
        case ast.MatchValue():
            yield node.value
        case ast.Subscript():
            yield node.slice
        case ast.Dict():
            yield from filter(None, node.keys)
        case ast.Call(func=ast.Attribute(attr="startswith" | "removeprefix" | "get" | "partition" | "split")):
            yield from node.args


def asks_for_a_dialect(node: ast.AST) -> bool:
    match node:
        case ast.Attribute(value=ast.Attribute(attr="dialect"), attr="name"):
            return True
        case ast.Attribute(attr=name) if name in ASKS_FOR_A_DIALECT:
            return True
        case ast.ImportFrom(module=str(name)) if name.startswith("sqlalchemy.dialects"):
            return True
        case ast.ImportFrom(module=str(name)) if name.startswith("carecase_worker.targets.dialects."):
            return name.removeprefix("carecase_worker.targets.dialects.").partition(".")[0] in DIALECTS
        case _:
            words = (part for one in spelt_in(node) for part in ast.walk(one) if isinstance(part, ast.Constant))
            return any(isinstance(word.value, str) and A_DIALECT.match(word.value) for word in words)


def test_nothing_else_asks_for_a_dialects_name() -> None:
    others = [module for module in MODULES if not name_of(module).startswith(KNOWS_DIALECTS)]
    asking = [(module, node) for module in others for node in nodes_of(module) if asks_for_a_dialect(node)]
    asked = [f"{name_of(module)}:{getattr(node, 'lineno', 1)}" for module, node in asking]
    assert asked == [], "ask the Dialect, and give it what it lacks"


@pytest.mark.parametrize(
    "question",
    [
        'engine.dialect.name == "postgresql"',
        "connection.dialect.name",
        'url.startswith("sqlite")',
        'url.startswith(("a", "sqlite:///"))',
        '{"mysql": 1}',
        'tables["sqlite"]',
        "url.get_backend_name()",
        'match name:\n case "postgresql":\n  pass',
        'name in ("postgresql", "sqlite")',
        "from sqlalchemy.dialects import postgresql",
        "from carecase_worker.targets.dialects.sqlite.file import watch",
    ],
)
def test_a_question_for_a_dialect_is_recognised(question: str) -> None:
    assert any(map(asks_for_a_dialect, ast.walk(ast.parse(question))))


def test_the_settings_admit_the_url_of_each_dialect_and_of_no_other() -> None:
    assert set(SCHEMES) == set(DIALECTS)
    for name, dialect in DIALECTS.items():
        assert dialect.name == name == make_url(SCHEMES[name].example).get_backend_name()


def is_broad(node: ast.AST) -> bool:
    match node:
        case ast.ExceptHandler(type=None | ast.Name(id="Exception" | "BaseException")):
            return True
        case _:
            return False


def test_broad_excepts_stand_at_the_edges_only() -> None:
    broad = Counter(name_of(module) for module in MODULES for node in nodes_of(module) if is_broad(node))
    assert broad == BROAD_EDGES


def test_no_size_rule_is_silenced() -> None:
    silenced = [
        name_of(module) for module in MODULES for rule in ("PLR0913", "PLR0915", "C901") if rule in module.read_text()
    ]
    assert silenced == []


def test_there_is_no_test_mode() -> None:
    words = ("testing", "pytest", "unittest", "TEST_MODE", "fakeredis")
    assert [name_of(module) for module in MODULES for word in words if word in module.read_text()] == []


def test_only_the_table_of_keys_spells_redis_keys() -> None:
    spelled = [
        name_of(module)
        for module in MODULES
        if name_of(module) != "store/keys.py" and 'f"{self.prefix}' in module.read_text()
    ]
    assert spelled == []


def test_every_operation_has_a_script_with_a_full_head() -> None:
    scripts = {path.stem: path.read_text() for path in (SOURCE / "store" / "lua").glob("*.lua")}
    assert set(scripts) == {
        "prelude",
        "chunks",
        "outbox",
        "deliver",
        "delivered",
        "replay",
        "place",
        "stage",
        "discard",
        "admit",
        "claim",
        "complete",
        "release",
        "cancel",
        "purge",
        "list",
        "overdue",
        "reclaim",
        "settle",
        "seen",
        "spend",
        "rewrap",
    }
    for operation, text in scripts.items():
        if operation not in ("prelude", "chunks", "outbox"):
            assert text.startswith(
                f"#!lua{'' if operation in ('stage', 'admit') else ' flags=allow-oom'}\n-- {operation}: "
            )
            assert all(f"\n-- {part} " in text for part in ("KEYS ", "ARGV ", "gives", "moves"))


def test_importing_does_nothing() -> None:
    names = [
        f"carecase_worker.{name_of(module).removesuffix('.py').replace('/', '.')}"
        for module in MODULES
        if module.name not in ("__init__.py", "__main__.py", "env.py")
    ]
    program = f"""
import logging, os, socket, sys, threading
def refuse(*_, **__): raise AssertionError("a connection")
before = dict(os.environ), os.getcwd()
import importlib
socket.socket.connect = refuse
for name in {names!r}: importlib.import_module(name)
assert threading.active_count() == 1, threading.enumerate()
assert not logging.getLogger().handlers
assert (dict(os.environ), os.getcwd()) == before
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=600)
