"""Types of settings: bounded numbers, texts, URLs, secrets; and their error messages."""

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, get_args, get_origin
from urllib.parse import unquote

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from carecase_worker.settings.urls import parts as url_parts
from carecase_worker.settings.urls import services as urls
from carecase_worker.settings.urls import targets as target_urls

_MOST = (1 << 53) - 1
"""The largest whole number that Redis's scripts, which count in doubles, represent exactly."""

_LEAST_DURATION = timedelta(milliseconds=1)
_MOST_DURATION = timedelta(days=3650)
_NAME_LENGTH = 64


def _no_truth(given: object) -> object:
    """Refuse true and false, which pydantic would convert to 1 and 0."""
    if isinstance(given, bool):
        raise PydanticCustomError("kind", "no number")
    return given


def _number(given: object) -> object:
    """Convert a number from the environment, which is text: pydantic would read it as an ISO 8601 duration."""
    try:
        return float(given) if isinstance(given, str) else given
    except ValueError:
        raise PydanticCustomError("kind", "no number") from None


def _text(given: str) -> str:
    if not given or url_parts.has_control(given):
        raise ValueError("must be text of one line, and not empty")
    return given


def _prefix(given: str) -> str:
    if not re.fullmatch("[!-~]{0,64}", given):
        raise ValueError("must be up to 64 letters, digits and signs, without spaces")
    return given


def path_segments(given: str) -> str:
    """Check a path and remove the slashes around it. Raises ValueError."""
    path = given.strip("/")
    if not re.fullmatch("[A-Za-z0-9._~-]+(/[A-Za-z0-9._~-]+)*", path) or {".", ".."} & set(path.split("/")):
        raise ValueError("must be a path, as flower or tools/flower, of letters, digits and . _ ~ -")
    return path


def _root_path(given: str) -> str:
    """Check a path prefix and normalise it to a leading and no trailing slash. Raises ValueError."""
    return f"/{path_segments(given)}"


def _network(given: str) -> str:
    try:
        return str(ip_network(given))
    except ValueError:
        raise ValueError("must be addresses or networks, as 10.0.0.7 or 10.0.0.0/24") from None


def _user(given: str) -> str:
    if ":" in _text(given):
        raise ValueError("must not have a colon: browsers end a user's name there")
    return given


def _scope(given: str) -> str:
    if not re.fullmatch(r"[!#-\[\]-~]{1,200}", given):
        raise ValueError("must be scopes as openid or offline_access, without spaces and quotes")
    return given


def _digest(given: str) -> str:
    if not re.fullmatch("[0-9a-f]{64}", given):
        raise ValueError(
            "must be SHA-256 digests, each of 64 digits and letters a to f, as printed by carecase keys new"
        )
    return given


def _hidden(check: Callable[[str], str]) -> Callable[[SecretStr], SecretStr]:
    """Adapt a check of a text to a secret."""
    return lambda given: SecretStr(check(given.get_secret_value()))


def parse_keys(text: str) -> dict[str, bytes]:
    """Parse keys by id, in order, from `id:base64,…`. Raises ValueError, whose text quotes no key."""
    keys = {}
    for number, part in enumerate(re.split(r"[,\s]+", text.strip()), start=1):
        key_id, _, encoded = part.partition(":")
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,32}", key_id) or key_id in keys:
            raise ValueError(f"key {number} must have an id of its own, of letters, digits, _ and -, as in id:base64")
        try:
            keys[key_id] = base64.b64decode(
                encoded, altchars=b"-_" if set("-_") & set(encoded) else None, validate=True
            )
        except (binascii.Error, ValueError):
            raise ValueError(f"key {number} must be base64; make one with: openssl rand -base64 32") from None
        if len(keys[key_id]) != 32:
            raise ValueError(f"key {number} must have 32 bytes; make one with: openssl rand -base64 32")
    return keys


def parse_secrets(text: str) -> tuple[str, ...]:
    """Split a list of secrets at commas or white space."""
    return tuple(part for part in re.split(r"[,\s]+", text) if part)


def parse_headers(text: str) -> dict[str, str]:
    """Parse HTTP headers from `name=value,…`, with %-encoded values. Raises ValueError, whose text quotes none."""
    headers = {}
    for number, part in enumerate(text.split(","), start=1):
        name, is_there, value = (piece.strip() for piece in part.partition("="))
        value = unquote(value)
        if not (is_there and re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name) and re.fullmatch("[ -~]+", value)):
            raise ValueError(f"header {number} must be name=value of letters, digits and signs; write a comma as %2C")
        headers[name] = value
    return headers


def _headers(text: str) -> str:
    parse_headers(text)
    return text


def _keys(text: str) -> str:
    parse_keys(text)
    return text


Port = Annotated[int, BeforeValidator(_no_truth), Field(ge=0, le=65535)]
Count = Annotated[int, BeforeValidator(_no_truth), Field(ge=1, le=_MOST)]
Few = Annotated[int, BeforeValidator(_no_truth), Field(ge=1, le=1000)]
Share = Annotated[float, BeforeValidator(_no_truth), Field(ge=0.001, le=1000, allow_inf_nan=False)]
Part = Annotated[float, BeforeValidator(_no_truth), Field(ge=0, le=1, allow_inf_nan=False)]
Rate = Annotated[float, BeforeValidator(_no_truth), Field(ge=0, le=1e9, allow_inf_nan=False)]
Seconds = Annotated[
    timedelta,
    BeforeValidator(_number),
    BeforeValidator(_no_truth),
    Field(ge=_LEAST_DURATION, le=_MOST_DURATION),
]
Name = Annotated[str, Field(pattern=rf"^[A-Za-z0-9_-]{{1,{_NAME_LENGTH}}}$")]
Text = Annotated[str, AfterValidator(_text)]
Prefix = Annotated[str, AfterValidator(_prefix)]
UrlPath = Annotated[str, AfterValidator(path_segments)]
RootPath = Annotated[str, AfterValidator(_root_path)]
Network = Annotated[str, AfterValidator(_network)]
User = Annotated[str, AfterValidator(_user)]
Host = Annotated[str, AfterValidator(urls.host)]
JobUrl = Annotated[str, AfterValidator(urls.job_url)]
Origin = Annotated[str, AfterValidator(urls.origin)]
KeySetUrl = Annotated[str, AfterValidator(urls.jwks_url)]
EndpointUrl = Annotated[str, AfterValidator(urls.jwks_url)]
IssuerUrl = Annotated[str, AfterValidator(urls.issuer_url)]
Scope = Annotated[str, AfterValidator(_scope)]
OtlpUrl = Annotated[str, AfterValidator(urls.otlp_url)]
Digest = Annotated[str, AfterValidator(_digest)]
RedisUrl = Annotated[SecretStr, AfterValidator(_hidden(urls.redis_url))]
BrokerUrl = Annotated[SecretStr, AfterValidator(_hidden(urls.broker_url))]
TargetUrl = Annotated[SecretStr, AfterValidator(_hidden(target_urls.target_url))]
Secret = Annotated[SecretStr, AfterValidator(_hidden(_text))]
Keys = Annotated[SecretStr, AfterValidator(_hidden(_keys))]
HttpHeaders = Annotated[SecretStr, AfterValidator(_hidden(_headers))]


def kind_of(field: FieldInfo) -> tuple[Any, list[Any]]:
    """Return the type of a field, without None, and its bounds."""
    kind, metadata = field.annotation, list(field.metadata)
    if NoneType in get_args(kind):
        kind = next(one for one in get_args(kind) if one is not NoneType)
    if get_origin(kind) is Annotated:
        kind, *bounds = get_args(kind)
        metadata += bounds
    return kind, metadata


def should_be(field: FieldInfo) -> str:
    """Describe the valid values of a field, for an error message."""
    kind, metadata = kind_of(field)
    if get_origin(kind) is tuple:
        words = _choices(get_args(kind)[0])
        return f"must be a list of {words}" if words else "must be a list of texts"
    if words := _choices(kind):
        return f"must be {words}"
    if get_origin(kind) in (UnionType, Mapping):
        return "must be a table of names and values, or a list of texts where the setting allows one"
    numbers = {int: "a whole number", float: "a number", timedelta: "a number of seconds"}
    if kind in numbers:
        return f"must be {numbers[kind]}{_bounds(metadata)}"
    return {bool: "must be true or false", Path: "must be the path of a file"}.get(kind, "must be text")


def _choices(kind: Any) -> str:
    """List the values of an enum or literal type; empty for any other type."""
    words = [str(word) for word in get_args(kind)] if get_origin(kind) is Literal else []
    return listed(words, "or") if words else ""


def listed(words: Iterable[str], conjunction: str) -> str:
    """Join words for a sentence: `a, b or c`."""
    *first, last = words
    return f"{', '.join(first)} {conjunction} {last}" if first else last


def _bounds(metadata: list[Any]) -> str:
    """Describe the tightest bounds among the metadata."""
    least = max((one.ge for one in metadata if hasattr(one, "ge")), default=None)
    most = min((one.le for one in metadata if hasattr(one, "le")), default=None)
    return "".join(f" {word} {_figure(bound)}" for word, bound in (("from", least), ("to", most)) if bound is not None)


def _figure(bound: Any) -> str:
    figure = bound.total_seconds() if isinstance(bound, timedelta) else bound
    return f"{figure}" if isinstance(figure, int) else f"{figure:.12g}"
