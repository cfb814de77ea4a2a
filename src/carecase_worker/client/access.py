"""Where the service is, and the credentials: flags, the environment, the stack.json of an embedded system nearby."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from carecase_worker.errors import ClientError

_NEARBY = (Path("stack.json"), Path(".carecase/stack.json"))


@dataclass(frozen=True, slots=True)
class Access:
    """Where the service is, and the credentials for it."""

    url: str
    api_key: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    database: str | None = None


def find_access(
    flags: Mapping[str, str | None], variables: Mapping[str, str], nearby: tuple[Path, ...] = _NEARBY
) -> Access:
    """Access by flags (`url`, `api_key`, `token`, `database`), CARECASE_… variables, stack.json. Raises ClientError."""
    found = dict(_from_stack(next((path for path in nearby if path.exists()), None)))
    found |= {name.removeprefix("CARECASE_").lower(): value for name, value in variables.items()}
    found |= {name: value for name, value in flags.items() if value is not None}
    if "url" not in found:
        raise ClientError(
            "Where is the service? Give --url or set CARECASE_URL, or call this where carecase up was started."
        )
    return Access(found["url"], found.get("api_key"), found.get("token"), found.get("database"))


def _from_stack(path: Path | None) -> Mapping[str, str]:
    """What stack.json says of its first client."""
    if path is None:
        return {}
    try:
        stack = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ClientError(f"{path}: cannot be read ({error.strerror})") from None
    client = stack["clients"][0]
    return {
        "url": stack["intake"]["url"],
        "api_key": client["api_key"],
        "token": client["bearer"],
        "database": client["databases"][0],
    }
