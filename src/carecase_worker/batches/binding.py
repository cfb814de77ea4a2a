"""The facts of a job that its data key is bound to, and the marks by which a repeated request is recognised."""

import hashlib
from dataclasses import dataclass
from typing import Protocol

import msgspec


class Facts(Protocol):
    """The facts of a batch, as a new job, a stored job and the lease of a chunk all have them."""

    @property
    def client(self) -> str: ...

    @property
    def user(self) -> str: ...

    @property
    def database(self) -> str: ...

    @property
    def care_plan(self) -> int | None: ...

    @property
    def total(self) -> int: ...

    @property
    def strict(self) -> bool: ...

    @property
    def dry_run(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Binding:
    """The facts of a job's record that decide which cases are written where, for whom, and who may read the result.

    A data key can only be unwrapped with exactly these facts: if one was modified in the record, unwrapping fails.
    """

    job_id: str
    client: str
    user: str
    database: str
    care_plan: int | None
    total: int
    chunks: int
    strict: bool
    dry_run: bool = False

    @classmethod
    def of(cls, facts: Facts, job_id: str, chunks: int) -> "Binding":
        """Return the binding of a job with `chunks` chunks."""
        return cls(
            job_id,
            facts.client,
            facts.user,
            facts.database,
            facts.care_plan,
            facts.total,
            chunks,
            facts.strict,
            facts.dry_run,
        )

    def digest(self) -> bytes:
        """Return a SHA-256 digest of all facts, in an unambiguous encoding.

        For a job that is not a dry run, the digest is the same as before dry runs existed.
        """
        facts = msgspec.to_builtins(self)
        if not self.dry_run:
            del facts["dry_run"]
        return hashlib.sha256(msgspec.msgpack.encode(facts)).digest()


@dataclass(frozen=True, slots=True)
class Order:
    """A batch's place in the order of acceptance and its time of acceptance in us, as `admit` recorded them.

    `moved` is how far `settle` has moved the place up since; None if the place was final from the beginning.
    """

    seq: int
    accepted_us: int
    unsettled: bool = False
    moved: int | None = None

    def noted(self) -> str:
        """Return the text that `admit` signs."""
        was_unsettled = self.unsettled or self.moved is not None
        return f"{self.seq - (self.moved or 0)}|{self.accepted_us}|{int(was_unsettled)}"


@dataclass(frozen=True, slots=True)
class Mark:
    """The mark of a request: digests of its Idempotency-Key and of the facts that a repetition must share with it."""

    key: str
    fingerprint: str


def shared(database: str, care_plan: int | None, body_sha256: str, strict: bool = False, dry_run: bool = False) -> str:
    """Return, as one text, the facts that a repeated request must share with the first, besides key and caller."""
    modes = [name for name, is_on in (("strict", strict), ("dryRun", dry_run)) if is_on]
    return "\n".join((database, "" if care_plan is None else str(care_plan), body_sha256, *modes))
