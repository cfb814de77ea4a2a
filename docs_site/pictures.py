"""Pictures of the documentation, drawn as plain SVG: readable in the repository and in the site, fetching nothing.

`python -m docs_site.pictures` writes them to docs/pictures; the site is not built with others.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Literal

from docs_site.dashboard_picture import dashboard_picture

Kind = Literal["own", "store", "foreign", "note"]
Point = tuple[float, float]

_COLOURS: Mapping[Kind, tuple[str, str]] = {
    "own": ("#d7efe9", "#00796b"),
    "store": ("#fdf0d5", "#b26a00"),
    "foreign": ("#eceff1", "#546e7a"),
    "note": ("#ffffff", "#90a4ae"),
}
"""Fill and line by what a box is: a process of ours, a place where data lies, something of others, a remark."""
_LINE = 17
_INK = "#263238"


@dataclass(frozen=True)
class Box:
    """A box with lines of text, `|` between them; the first is bold."""

    x: float
    y: float
    width: float
    height: float
    text: str
    kind: Kind = "own"

    def edge(self, towards: Point) -> Point:
        """Where a line from the middle towards a point leaves the box."""
        mx, my = self.middle
        dx, dy = towards[0] - mx, towards[1] - my
        scale = min(self.width / 2 / abs(dx) if dx else float("inf"), self.height / 2 / abs(dy) if dy else float("inf"))
        return mx + dx * scale, my + dy * scale

    @property
    def middle(self) -> Point:
        """Its middle."""
        return self.x + self.width / 2, self.y + self.height / 2


@dataclass
class Picture:
    """Shapes on a white ground, and what the picture says in words."""

    width: int
    height: int
    title: str
    parts: list[str] = field(default_factory=list)

    def box(self, box: Box) -> Box:
        """Draw a box."""
        fill, line = _COLOURS[box.kind]
        self.parts.append(
            f'<rect x="{box.x:g}" y="{box.y:g}" width="{box.width:g}" height="{box.height:g}" rx="8"'
            f' fill="{fill}" stroke="{line}" stroke-width="1.5"/>'
        )
        x, y = box.middle
        self.text((x, y), box.text.split("|"), first_bold=box.kind != "note")
        return box

    def text(self, at: Point, lines: Sequence[str], first_bold: bool = False, anchor: str = "middle") -> None:
        """Write lines around a point, on a ground that hides what is behind."""
        top = at[1] - _LINE * (len(lines) - 1) / 2 + 5
        for number, line in enumerate(lines):
            weight = ' font-weight="600"' if first_bold and number == 0 else ""
            self.parts.append(
                f'<text x="{at[0]:g}" y="{top + number * _LINE:g}" text-anchor="{anchor}"{weight}>{escape(line)}</text>'
            )

    def label(self, at: Point, lines: Sequence[str]) -> None:
        """Write lines beside an arrow, with a white edge that keeps them readable."""
        self.parts.append('<g stroke="#fff" stroke-width="4" paint-order="stroke" stroke-linejoin="round">')
        self.text(at, lines)
        self.parts.append("</g>")

    def arrow(self, points: Sequence[Point], said: str = "", dashed: bool = False) -> None:
        """Draw an arrow through points; `said` is what it means, for who reads the file."""
        path = "M" + " L".join(f"{x:g} {y:g}" for x, y in points)
        dash = ' stroke-dasharray="6 4"' if dashed else ""
        title = f"<title>{escape(said)}</title>" if said else ""
        style = f'fill="none" stroke="{_INK}" stroke-width="1.5" marker-end="url(#head)"{dash}'
        self.parts.append(f'<path d="{path}" {style}>{title}</path>')

    def join(
        self, one: Box, other: Box, label: Sequence[str] = (), dashed: bool = False, shift: Point = (0, 0)
    ) -> None:
        """Draw an arrow from box to box, its label in the middle of it, shifted if need be."""
        start, end = one.edge(other.middle), other.edge(one.middle)
        self.arrow([start, end], " ".join(label), dashed)
        if label:
            self.label(((start[0] + end[0]) / 2 + shift[0], (start[1] + end[1]) / 2 + shift[1]), label)

    def svg(self) -> str:
        """The file."""
        return "\n".join(
            (
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" width="{self.width}"'
                f' height="{self.height}" role="img" aria-label="{escape(self.title, quote=True)}"'
                f' font-family="system-ui, Helvetica, Arial, sans-serif" font-size="13" fill="{_INK}">',
                f"<title>{escape(self.title)}</title>",
                '<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8"'
                f' orient="auto-start-reverse"><path d="M0 0L10 5L0 10z" fill="{_INK}"/></marker></defs>',
                f'<rect width="{self.width}" height="{self.height}" fill="#fff"/>',
                *self.parts,
                "</svg>",
                "",
            )
        )


def _context() -> Picture:
    """Who and what is around the service."""
    picture = Picture(900, 440, "Context: who sends, who runs it, what it writes to")
    service = picture.box(
        Box(
            330,
            170,
            240,
            100,
            "carecase-worker|takes batches of cases,|applies each case exactly once,|in order",
        )
    )
    sender = picture.box(Box(30, 180, 190, 80, "Sending systems|clients with an API key|and a bearer token", "foreign"))
    issuer = picture.box(Box(345, 20, 210, 60, "Issuer of tokens|an identity provider, if any", "foreign"))
    databases = picture.box(
        Box(680, 180, 190, 80, "Target databases|PostgreSQL or SQLite,|one for each tenant", "store")
    )
    operators = picture.box(Box(180, 350, 200, 66, "Operators|carecase, Flower", "foreign"))
    monitoring = picture.box(Box(520, 350, 200, 66, "Monitoring|Prometheus, log collector", "foreign"))
    picture.join(sender, service, ["PUT batch,", "poll, result"], shift=(0, 28))
    picture.join(service, databases, ["cases,", "ledger rows"], shift=(0, 28))
    picture.join(service, issuer, ["fetch public keys"], dashed=True)
    picture.join(operators, service, ["configure, watch"])
    picture.join(monitoring, service, ["scrape /metrics, read logs"])
    return picture


def _containers() -> Picture:
    """The processes and the places where data lies."""
    picture = Picture(1190, 590, "Containers: processes of the service, and the stores between them")
    intake = picture.box(
        Box(480, 130, 200, 106, "Intake|HTTP in, HTTP out;|serves the page for jobs;|opens no target database")
    )
    picture.box(
        Box(
            300,
            310,
            350,
            116,
            "Redis or Valkey|job store: jobs, chunks, outcomes,|outbox of webhooks|broker: notifications, ids only|"
            "on disk before each 202",
            "store",
        )
    )
    worker = picture.box(
        Box(
            740,
            300,
            240,
            136,
            "Worker|main process: Celery, sweep,|purge, delivery to webhooks|pool processes, each at one|"
            "attempt; any number",
        )
    )
    picture.box(Box(40, 325, 180, 86, "Flower|operators' page;|listens and counts,|sees ids only"))
    _senders(picture, intake)
    _written_by(picture, intake, worker)
    picture.arrow([(540, 236), (510, 310)], "stage, admit, read")
    picture.label((462, 272), ["stage, admit, read"])
    picture.arrow([(620, 236), (620, 310)], "notify", dashed=True)
    picture.label((652, 272), ["notify"])
    picture.arrow([(740, 340), (650, 340)], "claim, complete, release")
    picture.label((696, 322), ["claim,", "complete"])
    picture.arrow([(650, 385), (740, 385)], "notifications", dashed=True)
    picture.label((695, 399), ["ids"])
    picture.arrow([(300, 368), (220, 368)], "events of ids", dashed=True)
    picture.label((260, 354), ["ids"])
    picture.text((300, 510), ["dashed: may be lost, doubled or late, and nothing is lost by it"])
    return picture


def _senders(picture: Picture, intake: Box) -> None:
    """Draw who sends, and who signs people in."""
    browser = picture.box(Box(20, 20, 160, 66, "Browser|page for jobs: /app", "foreign"))
    client = picture.box(Box(20, 150, 160, 66, "Client|program or command", "foreign"))
    provider = picture.box(Box(270, 20, 160, 66, "OpenID provider|signs people in, if any", "foreign"))
    proxy = picture.box(Box(270, 150, 140, 66, "Proxy|terminates TLS", "foreign"))
    picture.join(browser, provider, ["sign in"], shift=(0, -12))
    picture.join(browser, proxy, ["HTTPS"], shift=(0, -4))
    picture.join(client, proxy, ["HTTPS"], shift=(0, -12))
    picture.join(proxy, intake, ["HTTP"], shift=(0, -12))
    picture.join(intake, provider, ["public keys"], dashed=True, shift=(44, 0))


def _written_by(picture: Picture, intake: Box, worker: Box) -> None:
    """Draw what intake and worker write to."""
    audit = picture.box(Box(780, 50, 200, 66, "Audit log|who read and wrote cases", "store"))
    receiver = picture.box(Box(1060, 335, 115, 66, "Receiver|of webhooks", "foreign"))
    database = picture.box(
        Box(740, 500, 240, 76, "Target database|care_case, ingest_ledger;|one for each tenant", "store")
    )
    picture.join(intake, audit, ["record, then do"], shift=(-30, -12))
    picture.join(worker, receiver, ["signed", "events"], shift=(0, -22))
    picture.label((1020, 394), ["ids,", "counts"])
    picture.join(worker, database, ["one transaction:", "cases and ledger row"])


def _sequence() -> Picture:
    """One batch, message by message."""
    picture = Picture(1000, 720, "Sequence: one batch from PUT to result")
    lanes = {"Client": 80, "Intake": 290, "Redis": 500, "Worker": 710, "Target database": 910}
    kinds: Sequence[Kind] = ("foreign", "own", "store", "own", "store")
    for (name, x), kind in zip(lanes.items(), kinds, strict=True):
        picture.parts.append(f'<path d="M{x} 56V710" stroke="#b0bec5" stroke-width="1.5"/>')
        picture.box(Box(x - 70, 16, 140, 40, name, kind))
    steps: Sequence[tuple[str, str, str, bool]] = (
        ("Client", "Intake", "PUT: an array of items", False),
        ("Intake", "Redis", "stage: chunks, as they come", False),
        ("Intake", "Redis", "admit: they become a job", False),
        ("Redis", "Intake", "admitted, on disk", False),
        ("Intake", "Client", "202, Location: /jobs/…", False),
        ("Intake", "Redis", "notify: job id, chunk number", True),
        ("Redis", "Worker", "notification (Celery)", True),
        ("Worker", "Redis", "claim: lease and payload", False),
        ("Worker", "Target database", "BEGIN, upsert of cases", False),
        ("Worker", "Target database", "ledger row, COMMIT", False),
        ("Worker", "Redis", "complete: outcomes", False),
        ("Redis", "Worker", "stored; the next chunk", False),
        ("Redis", "Intake", "publish: job is final", True),
        ("Client", "Intake", "GET /jobs/…/result", False),
        ("Intake", "Redis", "read outcomes", False),
        ("Intake", "Client", "207: a status for each item", False),
    )
    for number, (one, other, what, dashed) in enumerate(steps):
        y = 92 + number * 39
        picture.arrow([(lanes[one], y), (lanes[other], y)], what, dashed)
        picture.label(((lanes[one] + lanes[other]) / 2, y - 12), [f"{number + 1}  {what}"])
    return picture


JOB_MOVES: Iterable[tuple[str, str, str]] = (
    ("queued", "claim", "running"),
    ("queued", "claim", "waiting"),
    ("queued", "complete", "running"),
    ("queued", "complete", "completed"),
    ("queued", "cancel", "cancelling"),
    ("running", "claim", "running"),
    ("running", "claim", "waiting"),
    ("running", "complete", "running"),
    ("running", "complete", "completed"),
    ("running", "release", "waiting"),
    ("running", "cancel", "cancelling"),
    ("waiting", "claim", "running"),
    ("waiting", "claim", "waiting"),
    ("waiting", "complete", "running"),
    ("waiting", "complete", "completed"),
    ("waiting", "release", "waiting"),
    ("waiting", "cancel", "cancelling"),
    ("cancelling", "claim", "cancelling"),
    ("cancelling", "complete", "cancelling"),
    ("cancelling", "complete", "completed"),
    ("cancelling", "complete", "cancelled"),
    ("cancelling", "release", "cancelling"),
    ("cancelling", "cancel", "cancelling"),
)
"""From which state an operation may move a job to which; those of `MOVES` in store/job.py, which a test compares."""


def _job_states() -> Picture:
    """States of a job."""
    picture = Picture(940, 500, "States of a job, and the operations that move it")
    start = picture.box(Box(20, 55, 130, 46, "(staged)|not a job yet", "note"))
    states = {
        "queued": picture.box(Box(270, 50, 140, 56, "queued|nothing claimed yet")),
        "running": picture.box(Box(590, 50, 140, 56, "running|chunks are applied")),
        "waiting": picture.box(Box(430, 220, 150, 66, "waiting|its database|does not answer")),
        "completed": picture.box(Box(770, 220, 150, 56, "completed|final", "store")),
        "cancelling": picture.box(Box(120, 360, 170, 66, "cancelling|what is not applied|is dropped")),
        "cancelled": picture.box(Box(480, 410, 150, 56, "cancelled|final", "store")),
    }
    picture.join(start, states["queued"], ["admit"], shift=(0, -11))
    labels: dict[tuple[str, str], list[str]] = {}
    for one, operation, other in JOB_MOVES:
        labels.setdefault((one, other), []).append(operation)
    routes: Mapping[tuple[str, str], tuple[Sequence[Point], Point]] = {
        ("queued", "running"): (((410, 78), (590, 78)), (500, 66)),
        ("queued", "waiting"): (((360, 106), (450, 220)), (384, 170)),
        ("queued", "completed"): (((340, 50), (340, 20), (880, 20), (880, 220)), (610, 32)),
        ("queued", "cancelling"): (((300, 106), (200, 360)), (226, 230)),
        ("running", "running"): (((700, 50), (700, 34), (745, 34), (745, 70), (730, 70)), (806, 58)),
        ("running", "waiting"): (((640, 106), (545, 220)), (552, 148)),
        ("running", "completed"): (((720, 106), (820, 220)), (800, 150)),
        ("running", "cancelling"): (((612, 106), (612, 330), (290, 385)), (640, 312)),
        ("waiting", "running"): (((575, 220), (665, 106)), (666, 176)),
        ("waiting", "waiting"): (((450, 286), (450, 310), (490, 310), (490, 286)), (500, 324)),
        ("waiting", "completed"): (((580, 255), (770, 255)), (700, 268)),
        ("waiting", "cancelling"): (((430, 270), (250, 360)), (330, 300)),
        ("cancelling", "cancelling"): (((140, 426), (140, 456), (210, 456), (210, 426)), (175, 472)),
        ("cancelling", "cancelled"): (((290, 410), (480, 436)), (390, 446)),
        ("cancelling", "completed"): (((290, 395), (845, 380), (845, 276)), (740, 370)),
    }
    for (one, other), operations in labels.items():
        points, at = routes[one, other]
        picture.arrow(points, f"{one} -> {other}: {', '.join(operations)}")
        picture.label(at, [", ".join(operations)])
    return picture


def _chunk_states() -> Picture:
    """States of a chunk."""
    picture = Picture(940, 430, "States of a chunk, and the operations that move it")
    staged = picture.box(Box(20, 60, 150, 66, "staged|in Redis, expires|unless admitted", "note"))
    admitted = picture.box(Box(260, 60, 165, 66, "admitted|not open yet: the job|opens a few at a time"))
    opened = picture.box(Box(540, 60, 150, 66, "open|ready to be claimed"))
    claimed = picture.box(Box(540, 230, 150, 66, "claimed|leased to one|process"))
    done = picture.box(Box(780, 230, 140, 66, "done|outcomes stored", "store"))
    gone = picture.box(Box(20, 230, 150, 56, "dropped", "note"))
    written = picture.box(Box(530, 350, 170, 60, "ledger row|in the target database", "store"))
    picture.join(staged, admitted, ["admit"], shift=(0, -11))
    picture.join(staged, gone, ["discard,", "or expires"])
    picture.join(admitted, opened, ["admit, complete,", "cancel"], shift=(0, -24))
    picture.arrow([(590, 126), (590, 230)], "open -> claimed: claim, complete")
    picture.label((524, 178), ["claim, or complete", "of another chunk"])
    picture.arrow([(650, 230), (650, 126)], "claimed -> open: release, reclaim, lease expires")
    picture.label((722, 178), ["release, reclaim,", "lease expires"])
    picture.join(claimed, done, ["complete"], shift=(0, -11))
    picture.join(claimed, written, ["commit"], dashed=True, shift=(34, 0))
    picture.arrow([(690, 60), (720, 60), (720, 30), (670, 30), (670, 60)], "open -> open: overdue")
    picture.label((800, 44), ["overdue: notify again"])
    return picture


PICTURES: Mapping[str, str] = {
    "context.svg": _context().svg(),
    "containers.svg": _containers().svg(),
    "sequence.svg": _sequence().svg(),
    "job-states.svg": _job_states().svg(),
    "chunk-states.svg": _chunk_states().svg(),
    "dashboard.svg": dashboard_picture(),
}
"""Every picture by its file's name."""


def main() -> None:
    """Write the pictures."""
    directory = Path(__file__).parent.parent / "docs" / "pictures"
    directory.mkdir(exist_ok=True)
    for name, drawn in PICTURES.items():
        (directory / name).write_text(drawn, "utf-8")


if __name__ == "__main__":
    main()
