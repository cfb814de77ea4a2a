"""The service's URL, and the credentials: flags, the environment, the stack.json of an embedded system nearby."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from carecase_worker.errors import ClientError

NEARBY = (Path("stack.json"), Path(".carecase/stack.json"))
"""The places at which the page of a `carecase up` in the working directory may be."""


@dataclass(frozen=True, slots=True)
class Access:
    """The service's URL, and the credentials for it; `source` says what the URL was found by."""

    url: str
    api_key: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    database: str | None = None
    source: str = ""


def find_access(
    flags: Mapping[str, str | None], variables: Mapping[str, str], nearby: tuple[Path, ...] = NEARBY
) -> Access:
    """Access by flags (`url`, `api_key`, `token`, `database`), CARECASE_… variables, stack.json. Raises ClientError."""
    stack_file = next((path for path in nearby if path.exists()), None)
    told = {name.removeprefix("CARECASE_").lower(): value.strip() for name, value in variables.items()}
    flagged = {name: value for name, value in flags.items() if value is not None}
    found = {**_from_stack(stack_file), **told, **flagged}
    if "url" not in found:
        looked = " or ".join(map(str, nearby))
        raise ClientError(
            "Where is the service? Give --url or set CARECASE_URL, or call this where carecase up was started"
            f" (there is no {looked} in {Path.cwd()})."
        )
    source = "--url" if "url" in flagged else "CARECASE_URL" if "url" in told else str(stack_file)
    return Access(found["url"], found.get("api_key"), found.get("token"), found.get("database"), source)


def _from_stack(path: Path | None) -> Mapping[str, str]:
    """What stack.json says of its first client."""
    if path is None:
        return {}
    try:
        stack = json.loads(path.read_text("utf-8"))
        client = stack["clients"][0]
        return {
            "url": stack["intake"]["url"],
            "api_key": client["api_key"],
            "token": client["bearer"],
            "database": client["databases"][0],
        }
    except OSError as error:
        raise ClientError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, LookupError, TypeError):
        raise ClientError(
            f"{path}: is not what carecase up writes. Give --url and credentials, or start carecase up again."
        ) from None
