"""The service over HTTP, as the contract has it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self
from urllib.parse import quote
from uuid import UUID

import httpx
import msgspec

from carecase_worker.clock import Dice, Sleep
from carecase_worker.errors import ClientError

_TRY_AGAIN = frozenset({429, 502, 503, 504})
_ATTEMPTS = 6
_LONGEST = timedelta(seconds=30)
_PIECE_BYTES = 256 << 10
_THIS_MACHINE = ("127.0.0.1", "localhost", "::1")  # no proxy leads there


@dataclass(frozen=True, slots=True)
class Access:
    """Where the service is, and the credentials for it."""

    url: str
    api_key: str | None = None
    token: str | None = None
    database: str | None = None


@dataclass(frozen=True, slots=True)
class Upload:
    """A batch as it lies on disk: a JSON array or NDJSON, compressed or not; it is sent as it is."""

    path: Path
    content_type: str
    content_encoding: str | None = None


class CareCases:
    """A connection to the service. Calls that fail for a passing reason are tried again; that never doubles a batch."""

    def __init__(self, access: Access, sleep: Sleep, dice: Dice, new_id: Callable[[], UUID]) -> None:
        headers = {"User-Agent": "carecase-worker"}
        if access.api_key:
            headers["x-api-key"] = access.api_key
        if access.token:
            headers["Authorization"] = f"Bearer {access.token}"
        self._access = access
        self._sleep = sleep
        self._dice = dice
        self._new_id = new_id
        is_here = httpx.URL(access.url).host in _THIS_MACHINE
        self._http = httpx.Client(
            base_url=access.url, headers=headers, timeout=httpx.Timeout(60, connect=5), trust_env=not is_here
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._http.close()

    def submit(self, upload: Upload, care_plan: int | None, sent: Callable[[int], None]) -> dict[str, Any]:
        """Send a batch; the job that stands for it. Calls `sent` with the size of each piece. Raises ClientError."""
        path = "/care-cases-batch" if care_plan is None else f"/care-plans/{care_plan}/cases-batch"
        headers = {"Content-Type": upload.content_type, "Idempotency-Key": str(self._new_id())}
        if upload.content_encoding:
            headers["Content-Encoding"] = upload.content_encoding
        if self._access.database:
            headers["vbasoftware-database"] = self._access.database

        def send() -> httpx.Response:
            with upload.path.open("rb") as file:
                return self._http.put(path, headers=headers, content=_pieces(file, sent))

        return dict(self._answer(send)["job"])

    def job(self, job_id: str, wait: timedelta = timedelta(0)) -> dict[str, Any]:
        """Where a job stands: once it is final, or after `wait`. Raises ClientError."""
        headers = {"Prefer": f"wait={wait // timedelta(seconds=1)}"} if wait else {}
        return dict(self._answer(lambda: self._http.get(_path(job_id), headers=headers))["data"])

    def jobs(self, **wanted: str | int) -> list[dict[str, Any]]:
        """A page of the caller's jobs, newest first: `page`, `pageSize`, `state`, `database`. Raises ClientError."""
        return list(self._answer(lambda: self._http.get("/jobs", params=wanted))["data"])

    def cancel(self, job_id: str) -> dict[str, Any]:
        """Cancel what has not been applied; the job as it is then. Raises ClientError."""
        return dict(self._answer(lambda: self._http.delete(_path(job_id)))["job"])

    def retry(self, job_id: str) -> dict[str, Any]:
        """Send again what failed for a reason outside the items; the new job. Raises ClientError."""
        headers = {"Idempotency-Key": str(self._new_id())}
        return dict(self._answer(lambda: self._http.post(f"{_path(job_id)}/retry", headers=headers))["job"])

    def result(self, job_id: str, **wanted: str | int) -> list[dict[str, Any]]:
        """What became of each item, in order; only the items `wanted`: `outcome`, `page`, `pageSize`.

        Raises ClientError, also while the job is not final.
        """
        answer = self._answer(lambda: self._http.get(f"{_path(job_id)}/result", params=wanted))
        if "job" in answer:
            raise ClientError("The job is not final yet. Wait for it with: carecase status JOB --watch")
        return list(answer["data"])

    def _answer(self, call: Callable[[], httpx.Response]) -> dict[str, Any]:
        for attempt in range(_ATTEMPTS):
            try:
                response = call()
            except httpx.TransportError as error:
                failure, wait = f"{self._access.url} does not answer ({type(error).__name__})", None
            else:
                if response.status_code not in _TRY_AGAIN:
                    return _read(response)
                failure, wait = _problem(response), response.headers.get("Retry-After")
            if attempt + 1 < _ATTEMPTS:
                self._sleep(_backoff(attempt, wait, self._dice.roll()))
        raise ClientError(f"{failure}. Check the URL, and whether the service runs.")


def _path(job_id: str) -> str:
    return f"/jobs/{quote(job_id, safe='')}"


def _backoff(attempt: int, retry_after: str | None, roll: float) -> timedelta:
    """What the service asks for; without that, half a second, doubling, half of it chance."""
    if retry_after and retry_after.isdigit():
        return min(timedelta(seconds=int(retry_after)), _LONGEST)
    return min(timedelta(seconds=0.5 * 2**attempt), _LONGEST) * (0.5 + roll / 2)


def _pieces(file: BinaryIO, sent: Callable[[int], None]) -> Iterator[bytes]:
    while piece := file.read(_PIECE_BYTES):
        yield piece
        sent(len(piece))


def _read(response: httpx.Response) -> dict[str, Any]:
    if response.is_success:
        return dict(msgspec.json.decode(response.content))
    raise ClientError(_problem(response))


def _problem(response: httpx.Response) -> str:
    try:
        return f"{response.status_code}: {response.json()['error']['detail']}"
    except (ValueError, KeyError, TypeError):
        return f"{response.status_code} {response.reason_phrase}"
