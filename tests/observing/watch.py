"""Prometheus and Alertmanager beside a running system, with the rules as they are deployed, but in a hurry."""

import json
import re
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from subprocess import Popen
from typing import Any
from urllib.parse import urlsplit

import httpx
import yaml
from tests.acceptance.system import System, eventually, running, stopped_with_parent
from tests.needs import need
from tests.plain_http import http_get
from tests.ports import free_port

FACTOR = 60
BACKLOG = 20
CONFIG = f"""
[intake]
rate_per_second = 0
[jobs]
max_backlog_jobs = {BACKLOG}
"""
DEPLOYED = Path(__file__).parents[2] / "deploy" / "prometheus"
OF_A_BUSY_MACHINE = {"NoIntakes", "NoWorkers", "AcceptanceErrorBudgetBurn"}
"""Alerts that a busy test machine has rightly, in such a hurry: a scrape that takes seconds, a worker that is not heard
of for ten, a 202 after more than one."""
_BOUND = re.compile(r'(?<=_seconds\) > )\d+|(?<=le=")\d+(?=\.0")')
_WINDOW = re.compile(r"(?<=\[)\d+[mhd](?=\])|(?<=offset )\d+[mhd]")
_DURATION = re.compile(r"^(\d+)([smhd])$")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def in_a_hurry(text: str, factor: int, names: Sequence[str]) -> Any:
    """Parse a file of the deployment; the durations of these names are so many times shorter."""

    def hurried(part: Any) -> Any:
        match part:
            case Mapping():
                return {name: shorter(value) if name in names else hurried(value) for name, value in part.items()}
            case list():
                return [hurried(one) for one in part]
            case _:
                return part

    def shorter(duration: str) -> str:
        found = _DURATION.match(duration)
        assert found, duration
        return f"{int(found[1]) * _SECONDS[found[2]] * 1000 // factor}ms"

    return hurried(yaml.safe_load(text))


def hurried_rules(factor: int, by_bounds: Collection[str] = (), by_windows: Collection[str] = ()) -> Any:
    """The rules of the deployment, each so many times sooner; those named also by bounds, in seconds, and windows.

    These are twice as long as that: there are scrapes enough in a window, though one of them is late.
    """
    rules = in_a_hurry((DEPLOYED / "rules.yaml").read_text(), factor, ("for",))

    def shorter(found: "re.Match[str]") -> str:
        number, unit = re.fullmatch(r"(\d+)([mhd]?)", found[0]).groups()  # type: ignore[union-attr]
        seconds = int(number) * _SECONDS[unit or "s"] * 2 / factor
        return f"{seconds * 1000:.0f}ms" if unit else f"{seconds:g}"

    for rule in (rule for group in rules["groups"] for rule in group["rules"]):
        for pattern, names in ((_BOUND, by_bounds), (_WINDOW, by_windows)):
            if rule.get("alert", rule.get("record")) in names:
                rule["expr"], found = pattern.subn(shorter, rule["expr"])
                assert found, rule
    return rules


@dataclass(frozen=True)
class Message:
    """A message of Alertmanager to a person: the alert, its database, and whether it is firing or resolved.

    Messages that differ by their severity only are equal.
    """

    status: str
    alert: str
    database: str
    severity: str = field(default="", compare=False)


@dataclass
class Watch:
    """Prometheus, and the messages of it and of Alertmanager."""

    url: str
    messages: list[Message]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The samples of an instant query."""
        document = http_get(f"{self.url}/api/v1/query", params={"query": expression}).json()
        assert document["status"] == "success", (expression, document)
        return list(document["data"]["result"])

    def values(self, expression: str, start: float, end: float, step: float) -> list[dict[str, Any]]:
        """The series of a query over a range."""
        asked = httpx.QueryParams({"query": expression, "start": start, "end": end, "step": step})
        document = http_get(f"{self.url}/api/v1/query_range", params=asked).json()
        assert document["status"] == "success", (expression, document)
        return list(document["data"]["result"])

    def firing(self) -> set[tuple[str, str]]:
        """The alerts that fire, each with its database."""
        alerts = http_get(f"{self.url}/api/v1/alerts").json()["data"]["alerts"]
        return {
            (one["labels"]["alertname"], one["labels"].get("database", ""))
            for one in alerts
            if one["state"] == "firing"
        }

    def breaks(self, over_s: float, samples: str = "up") -> int:
        """The number of samples that are 0, of all targets, over so many seconds until now: of scrapes that failed."""
        found = self.query(f"{samples}[{over_s:.0f}s]")
        return sum(float(value) == 0 for one in found for _, value in one["values"])

    def waits_for(self, status: str, alert: str, database: str = "") -> None:
        """Wait until somebody got that message."""
        message = Message(status, alert, database)
        eventually(lambda: message in self.messages, what=f"{message} is told; so far: {self.messages}")


@contextmanager
def watched_system(place: Path, rules: Any = None, **variables: str) -> Iterator[tuple[System, Watch]]:
    """Run a system with one worker and a small backlog, and a watch over it, by the rules of `hurried_rules`."""
    for name in ("system", "watch"):
        (place / name).mkdir()
    (place / "system" / "small.toml").write_text(CONFIG)
    port = free_port()
    options = ("--workers", "1", "--config", "small.toml")
    with running(place / "system", *options, CARECASE_WORKER_PORT=str(port), **variables) as system:
        targets = {"carecase-intake": [system.stack["intake"]["url"]], "carecase-worker": [f"http://127.0.0.1:{port}"]}
        with watching(place / "watch", targets, rules or hurried_rules(FACTOR)) as watch:
            yield system, watch


@contextmanager
def watching(place: Path, targets: Mapping[str, Sequence[str]], rules: Any) -> Iterator[Watch]:
    """Run both; `targets` are URLs of what has metrics, by the name of the scrape job.

    Prometheus goes by the rules, and Alertmanager tells of what fires at once.
    """
    programs = (
        need("prometheus", "Debian's prometheus"),
        need("prometheus-alertmanager", "Debian's package of that name"),
    )
    port, manager_port, messages = free_port(), free_port(), list[Message]()
    (place / "rules.yaml").write_text(yaml.safe_dump(rules))
    (place / "prometheus.yaml").write_text(yaml.safe_dump(_prometheus(targets, manager_port)))
    with ExitStack() as stack:
        receiver = stack.enter_context(_receiver(messages))
        (place / "alertmanager.yaml").write_text(yaml.safe_dump(_alertmanager(receiver)))
        manager = [f"--web.listen-address=127.0.0.1:{manager_port}", "--cluster.listen-address="]
        server = [f"--web.listen-address=127.0.0.1:{port}"]
        for program, name, options in zip(programs, ("prometheus", "alertmanager"), (server, manager), strict=True):
            data = "--storage.tsdb.path" if name == "prometheus" else "--storage.path"
            options += [f"--config.file={place / name}.yaml", f"{data}={place / name}"]
            stack.enter_context(_running([program, *options], place / f"{name}.log"))
        watch = Watch(f"http://127.0.0.1:{port}", messages)
        eventually(lambda: _is_ready(watch.url) and watch.query("up"), what="Prometheus has scraped")
        yield watch


def _prometheus(targets: Mapping[str, Sequence[str]], manager_port: int) -> dict[str, Any]:
    return {
        "global": {"scrape_interval": "3s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yaml"],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{manager_port}"]}]}]},
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": [urlsplit(url).netloc for url in urls]}]}
            for job, urls in targets.items()
        ],
    }


def _alertmanager(receiver: str) -> Any:
    """The example of the deployment, with somebody who gets its alerts."""
    config = in_a_hurry((DEPLOYED / "alertmanager.yaml").read_text(), 300, ("group_wait", "group_interval"))
    for one in config["receivers"]:
        one["webhook_configs"] = [{"url": receiver}]
    return config


@contextmanager
def _receiver(messages: list[Message]) -> Iterator[str]:
    """A web hook that notes each alert of each message; its URL."""

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            document = json.loads(self.rfile.read(int(self.headers["content-length"])))
            for one in document["alerts"]:
                labels = one["labels"]
                told_of = (labels["alertname"], labels.get("database", ""), labels["severity"])
                messages.append(Message(one["status"], *told_of))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", free_port()), Receiver)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def _running(command: Sequence[str], log: Path) -> Iterator[None]:
    with log.open("w") as output:
        process = Popen(command, stdout=output, stderr=output, preexec_fn=stopped_with_parent())
        try:
            yield
        finally:
            process.terminate()
            process.wait(60)


def _is_ready(url: str) -> bool:
    try:
        return http_get(f"{url}/-/ready", timeout=5).status_code == 200
    except httpx.TransportError:
        return False
