"""Every refusal of a whole request, to the byte; what is wrong first is reported first; and nothing is kept."""

import gzip
from collections.abc import Iterator
from pathlib import Path

import httpx
import jwt
import pytest
import redis
import zstandard
from tests.builders import a_batch, a_case, a_key_pair
from tests.integration.intake.answers import JSON, NEVER, problem, require
from tests.integration.intake.intakes import Intake, an_intake
from tests.services import Services, lone_valkey, redis_url

GOOD = a_batch(a_case())
BATCH = "/care-cases-batch"
HOW = "Send the headers x-api-key and Authorization: Bearer <token>."
BEARER = {"www-authenticate": "Bearer"}

TYPES = {
    "accept": "application/json, text/json, application/*+json, application/x-ndjson, text/csv,"
    " text/tab-separated-values"
}
CODINGS = {"accept-encoding": "zstd, gzip"}
ENDED = "The body is not valid {}, or it is truncated. Send it again."

TITLES = {
    400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
    406: "Not Acceptable", 413: "Content Too Large", 415: "Unsupported Media Type", 422: "Unprocessable Content",
    429: "Too Many Requests", 503: "Service Unavailable",
}  # fmt: skip


@pytest.fixture(scope="module")
def intake(servers: Services) -> Iterator[Intake]:
    with an_intake(servers.redis_url, "refused:", intake={"require_user_agent": True}) as started:
        yield started


def asked(intake: Intake, method: str, path: str, body: bytes = b"", **headers: str | None) -> httpx.Response:
    """The answer to a good request, but for the headers that are said; None leaves one out."""
    with intake.client(**{"user-agent": "tests"}) as client:
        for name, value in headers.items():
            name = name.replace("_", "-")
            if value is None:
                client.headers.pop(name)
            else:
                client.headers[name] = value
        return client.request(method, path, content=body)


def require_problem(response: httpx.Response, status: int, kind: str, detail: str, **headers: str) -> None:
    instance = response.request.url.path
    expected_headers = {name.replace("_", "-"): value for name, value in headers.items()}
    require(response, status, {**JSON, **expected_headers}, problem(response, kind, TITLES[status], detail, instance))


@pytest.mark.parametrize(
    ("body", "headers", "status", "kind", "detail"),
    [
        (b"", {}, 400, "empty", "The batch is empty. Send at least one CareCase."),
        (b"[]", {}, 400, "empty", "The batch is empty. Send at least one CareCase."),
        (b"{}", {}, 400, "not-an-array", "The body is an object, not an array. Send an array of CareCase objects, with"
         " nothing around it."),
        (GOOD, {"content_type": "application/x-ndjson"}, 400, "not-lines", "The body is an array, not one CareCase a"
         " line. Send it as Content-Type: application/json."),
        (GOOD, {"content_encoding": "gzip"}, 400, "broken-encoding", ENDED.format("gzip")),
        (gzip.compress(GOOD)[:-1], {"content_encoding": "gzip"}, 400, "broken-encoding", ENDED.format("gzip")),
        (zstandard.compress(GOOD)[:-1], {"content_encoding": "zstd"}, 400, "broken-encoding", ENDED.format("zstd")),
        (GOOD, {"vbasoftware_database": None}, 400, "no-database", "Name the target database in the header"
         " vbasoftware-database."),
        (GOOD, {"vbasoftware_database": "nowhere"}, 403, "not-granted", "The database in vbasoftware-database does not"
         " exist, or this client may not use it."),
        (GOOD, {"host": "no host"}, 400, "bad-header", "The header Host is not a host. Send host or host:port."),
        (GOOD, {"idempotency_key": ""}, 400, "bad-parameter", "A parameter is not valid: Idempotency-Key must"
         " have 1 to 255 characters."),
        (GOOD, {"user_agent": ""}, 403, "no-user-agent", "Send a User-Agent header that names your program."),
        (GOOD, {"accept": "image/png"}, 406, "not-acceptable", "Responses are JSON. Accept application/json, text/json"
         " or text/plain."),
    ],
)  # fmt: skip
def test_a_batch_is_refused_with_what_to_do(
    intake: Intake, body: bytes, headers: dict[str, str | None], status: int, kind: str, detail: str
) -> None:
    with redis.Redis.from_url(intake.settings.redis.url.get_secret_value()) as server:
        before = set(server.keys(f"{intake.settings.redis.prefix}[!h]*"))
        require_problem(asked(intake, "PUT", BATCH, body, **headers), status, kind, detail)
        assert set(server.keys(f"{intake.settings.redis.prefix}[!h]*")) == before, "nothing is kept"


@pytest.mark.parametrize(
    ("headers", "detail"),
    [
        ({"x_api_key": None}, f"Credentials are missing. {HOW}"),
        ({"authorization": None}, f"Credentials are missing. {HOW}"),
        ({"x_api_key": "wrong"}, f"The API key is not known. {HOW}"),
        ({"authorization": "Bearer wrong"}, f"The bearer token is not valid. {HOW}"),
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", BATCH),
        ("PUT", "/care-plans/5/cases-batch"),
        ("GET", "/jobs"),
        ("GET", f"/jobs/{NEVER}"),
        ("GET", f"/jobs/{NEVER}/result"),
        ("DELETE", f"/jobs/{NEVER}"),
        ("POST", f"/jobs/{NEVER}/retry"),
    ],
)
def test_nobody_gets_anything(
    intake: Intake, method: str, path: str, headers: dict[str, str | None], detail: str
) -> None:
    response = asked(intake, method, path, GOOD, **headers)
    kind = "no-credentials" if "missing" in detail else "bad-credentials"
    require_problem(response, 401, kind, detail, **BEARER)


def test_what_is_not_allowed_is_refused_with_what_is(intake: Intake) -> None:
    words = (
        "Send Content-Type: application/json with an array, application/x-ndjson with one case a line, or text/csv or"
        " text/tab-separated-values with a header row; text/plain is for lines of fixed width, by a mapping."
    )
    for kind in ("text/html", None):
        require_problem(asked(intake, "PUT", BATCH, GOOD, content_type=kind), 415, "media-type", words, **TYPES)
    words = "Send Content-Encoding: gzip or zstd, only one and only once, or leave the header out."
    require_problem(asked(intake, "PUT", BATCH, GOOD, content_encoding="br"), 415, "encoding", words, **CODINGS)
    for path, method, allow in (
        (BATCH, "GET", "PUT, OPTIONS"),
        ("/jobs", "POST", "GET, HEAD, OPTIONS"),
        ("/jobs/x", "PUT", "GET, DELETE, HEAD, OPTIONS"),
        ("/jobs/x/retry", "GET", "POST, OPTIONS"),
        ("/livez", "DELETE", "GET, HEAD, OPTIONS"),
    ):
        words = f"This path does not allow this method. It allows {allow}."
        require_problem(asked(intake, method, path), 405, "http-405", words, allow=allow)
        require(asked(intake, "OPTIONS", path), 204, {"allow": allow}, None)
    for path in ("/", "/job", "/jobs/", "/care-cases-batch/", "/jobs/x/y"):
        require_problem(asked(intake, "GET", path), 404, "http-404", "There is nothing at this path.")
        require_problem(asked(intake, "OPTIONS", path), 404, "http-404", "There is nothing at this path.")


def test_what_is_wrong_first_is_reported_first(intake: Intake) -> None:
    bad: dict[str, str | None] = {
        "host": "no host", "accept": "image/png", "user_agent": "", "x_api_key": None, "vbasoftware_database": None,
        "content_type": "text/html", "content_encoding": "br",
    }  # fmt: skip
    path, kinds = "/care-plans/five/cases-batch?dryRun=1&validateOnly=maybe", []
    steps = (
        "host", "user_agent", "x_api_key", "accept", ("dryRun=1&", ""), ("five", "5"), ("maybe", "false"),
        "vbasoftware_database", "content_type", "content_encoding",
    )  # fmt: skip
    for step in steps:
        kinds.append(asked(intake, "PUT", path, b"{}", **bad).json()["error"]["type"].rpartition(":")[2])
        if isinstance(step, str):
            del bad[step]
        else:
            path = path.replace(*step)
    assert kinds == [
        "bad-header", "no-user-agent", "no-credentials", "not-acceptable", "bad-parameter", "bad-parameter",
        "bad-parameter", "no-database", "media-type", "encoding",
    ]  # fmt: skip
    assert asked(intake, "PUT", path, b"{}").status_code == 400
    assert asked(intake, "PUT", path, GOOD).status_code == 202


def test_a_key_that_came_before_with_another_batch(intake: Intake) -> None:
    words = "This Idempotency-Key was used before, with other items, database, care plan or handling. Use another."
    assert asked(intake, "PUT", BATCH, GOOD, idempotency_key="k").status_code == 202
    first = asked(intake, "PUT", BATCH, GOOD, idempotency_key="k")
    assert first.status_code == 202
    for path, body, headers in (
        (BATCH, GOOD + b" ", {}),
        ("/care-plans/5/cases-batch", GOOD, {}),
        (BATCH, GOOD, {"vbasoftware_database": "second"}),
        (BATCH, GOOD, {"prefer": "handling=strict"}),
    ):
        response = asked(intake, "PUT", path, body, idempotency_key="k", **headers)
        require_problem(response, 422, "key-reused", words)
    with intake.client("bob", **{"user-agent": "tests", "idempotency-key": "k"}) as client:
        assert client.put(BATCH, content=GOOD).json()["job"]["jobId"] != first.json()["job"]["jobId"]


def test_what_cannot_be_had_just_now(servers: Services, tmp_path: Path) -> None:
    tokens = {"algorithms": ["RS256"], "jwks_file": str(tmp_path / "none.json"), "secret": None}
    claims = {"sub": "u", "client_id": "ann", "exp": 4_000_000_000}
    token = jwt.encode(claims, a_key_pair("RS256"), "RS256", headers={"kid": "k"})
    with an_intake(servers.redis_url, "keys:", jwt=tokens) as intake:
        response = asked(intake, "GET", "/jobs", authorization=f"Bearer {token}")
        words = "The bearer token cannot be verified at the moment. Send the request again later."
        require_problem(response, 503, "keys-unavailable", words, retry_after="5")


def test_while_redis_is_away(tmp_path: Path) -> None:
    words = "The job store is unavailable at the moment. Send the request again, a batch with the same Idempotency-Key."
    calls = [
        ("PUT", BATCH), ("GET", "/jobs"), ("GET", f"/jobs/{NEVER}"), ("GET", f"/jobs/{NEVER}/result"),
        ("DELETE", f"/jobs/{NEVER}"), ("POST", f"/jobs/{NEVER}/retry"),
    ]  # fmt: skip
    with lone_valkey(tmp_path / "valkey") as port, an_intake(redis_url(port), "away:") as intake:
        ready = asked(intake, "GET", "/readyz").json()
        assert ready == {
            "status": "not ready",
            "checks": {"redis": "ok", "workers": "none was seen within ten seconds: start carecase worker"},
            "databases": {"away": 0, "reasons": []},
        }
        with redis.Redis.from_url(redis_url(port)) as server:
            server.config_set("min-replicas-to-write", 1)  # it answers, and takes no writes
            require_problem(asked(intake, "PUT", BATCH, GOOD), 503, "store-unavailable", words, retry_after="5")
            server.shutdown(nosave=True)
        for method, path in calls:
            response = asked(intake, method, path, GOOD if method == "PUT" else b"")
            require_problem(response, 503, "store-unavailable", words, retry_after="5")
        require(asked(intake, "GET", "/livez"), 200, JSON, {"status": "ok"})
        assert "carecase_store_up 0.0" in asked(intake, "GET", "/metrics").text.splitlines()


@pytest.mark.parametrize(("count", "kind"), [(1, "json"), (300, "json"), (300, "x-ndjson")])
def test_an_item_is_taken_or_nested_too_deeply_at_every_depth(servers: Services, count: int, kind: str) -> None:
    """It is read several times, each with another depth of the interpreter's stack left."""
    with (
        an_intake(servers.redis_url, f"deep{count}{kind}:") as intake,
        intake.client(**{"content-type": f"application/{kind}"}) as client,
    ):
        for depth in (*range(930, 1001), 100_000):
            item = b'{"case_Key":1,"x":%b}' % (b"[" * depth + b"]" * depth)
            body = b"[%b]" % b",".join([item] * count) if kind == "json" else b"\n".join([item] * count)
            response = client.put(BATCH, content=body)
            assert response.status_code == 202 or "nested too deeply" in response.json()["error"]["detail"]
        assert response.status_code == 400
