"""The service's URL, and the credentials: flags and environment, or the stack.json of an embedded system nearby.

Never both: anybody who can write to the directory can write a stack.json, so it must not redirect given credentials.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from carecase_worker.errors import ClientError
from carecase_worker.ownership import is_trusted

NEARBY = (Path("stack.json"), Path(".carecase/stack.json"))
"""The paths at which a `carecase up` in the working directory writes its stack.json."""


@dataclass(frozen=True, slots=True)
class Access:
    """The service's URL, and the credentials for it; `source` names the flag, variable or file of the URL."""

    url: str
    api_key: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    database: str | None = None
    source: str = ""


def find_access(
    flags: Mapping[str, str | None], variables: Mapping[str, str], nearby: tuple[Path, ...] = NEARBY
) -> Access:
    """Find the access by flags (`url`, `api_key`, `token`, `database`), then CARECASE_… variables, else stack.json.

    Raises ClientError.
    """
    values = {name.removeprefix("CARECASE_").lower(): value.strip() for name, value in variables.items()}
    flagged = {name: value for name, value in flags.items() if value is not None}
    found = {**values, **flagged}
    if "url" in found:
        source = "--url" if "url" in flagged else "CARECASE_URL"
        return Access(found["url"], found.get("api_key"), found.get("token"), found.get("database"), source)
    stack_file = next((path for path in nearby if path.exists()), None)
    if stack_file is None:
        looked = " or ".join(map(str, nearby))
        raise ClientError(
            "The service's URL is unknown. Give --url or set CARECASE_URL, or run this where carecase up was started"
            f" (there is no {looked} in {Path.cwd()})."
        )
    if given := [name for name in ("api_key", "token") if name in found]:
        named = " and ".join("an API key" if name == "api_key" else "a token" for name in given)
        raise ClientError(
            f"You gave {named} without a URL, and {stack_file} cannot supply one for it. Give --url or set"
            " CARECASE_URL, or leave out API key and token, to use those of stack.json."
        )
    near = _from_stack(stack_file)
    database = found.get("database", near["database"])
    return Access(near["url"], near["api_key"], near["token"], database, str(stack_file))


def _from_stack(path: Path) -> Mapping[str, str]:
    """Read the URL and the first client of a stack.json. Raises ClientError."""
    try:
        with path.open(encoding="utf-8") as file:
            if not is_trusted(file):
                raise ClientError(f"{path}: belongs to another user, so it is not used. Give --url and credentials.")
            stack = json.load(file)
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
            f"{path}: was not written by carecase up. Give --url and credentials, or start carecase up again."
        ) from None
