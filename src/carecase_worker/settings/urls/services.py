"""URLs of services: checks that the library that uses a URL will accept it. No network, no files.

Each check returns the URL in canonical form, or raises ValueError that says what it should be. The text never quotes
the URL, which may contain a password.
"""

import re
from urllib.parse import quote, urlsplit

from carecase_worker.settings.urls.parts import ENCODED, URL, check_host, check_port, is_ipv6, is_plain
from carecase_worker.settings.urls.targets import SCHEMES, scheme_of

_DATABASE = re.compile("/?|/[0-9]{1,9}")
_REDIS = "must be redis://host:6379/0, rediss:// for TLS, or unix:///path?db=0"
_BROKER = f"{_REDIS}, or amqp://user@host:5672/vhost (amqps:// for TLS)"
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})


def host(text: str) -> str:
    """Check a host's name or address; an IPv6 address has no brackets."""
    if ":" not in text:
        check_host(text, "must be a host's name or its address")
    elif not is_ipv6(text):
        raise ValueError("must be a host's name or its address, without a port and without [ ]")
    return text


def redis_url(text: str) -> str:
    """Check a Redis URL, and convert it to redis-py's form; a socket may also have Celery's form."""
    return _redis(text, _REDIS)


def broker_url(text: str) -> str:
    """Check a broker URL, and convert it to Celery's form; RabbitMQ may have several, separated by semicolons."""
    if text.startswith(("amqp://", "amqps://")):
        for one in text.split(";"):
            _check_amqp(one)
        return text
    url = _redis(text, _BROKER)
    if not url.startswith("unix:"):
        return url
    place, _, query = url.removeprefix("unix").partition("?")
    return f"redis+socket{place}?virtual_host={query.removeprefix('db=')}"


def with_password(text: str, password: str) -> str:
    """Insert a password, of any characters, into a URL without one."""
    scheme, _, rest = text.partition("://")
    server, slash, path = rest.partition("/")
    user, _, host = server.rpartition("@")
    return f"{scheme}://{user}:{quote(password, safe='')}@{host}{slash}{path}"


def takes_password(text: str) -> bool:
    """Return whether a password can be inserted into a URL: it names one server, and has no password."""
    return not text.startswith(("unix:", "redis+socket:")) and ";" not in text and urlsplit(text).password is None


def jwks_url(text: str) -> str:
    """Check the URL from which an issuer's keys are fetched."""
    should = "must be https://host/path, or http:// on this machine"
    found = _parts(text, should, {"https", "http"})
    if found["userinfo"] is not None:
        raise ValueError(f"{should}, without a user in it")
    if found["scheme"] == "http" and found["host"] not in _LOOPBACK:
        raise ValueError(should)
    return text


def issuer_url(text: str) -> str:
    """Check an issuer's name, which is a URL without query or fragment."""
    if "?" in text or "#" in text:
        raise ValueError("must be the issuer as its tokens name it, as https://host/path, without ? or #")
    return jwks_url(text)


def otlp_url(text: str) -> str:
    """Check the endpoint of a collector, and add the usual path of traces to one that has no path."""
    should = "must be http://host:4318, or https:// for TLS, with a path if it is not /v1/traces"
    found = _parts(text, should, {"https", "http"})
    if found["userinfo"] is not None or found["query"] is not None:
        raise ValueError(f"{should}, without a user or options in it; credentials belong in tracing.headers")
    return text if (found["path"] or "/") != "/" else f"{text.removesuffix('/')}/v1/traces"


def job_url(text: str) -> str:
    """Check the URL of a job's page, in which `{job_id}` stands for the job."""
    should = "must be https://host/path or http://host/path with {job_id} in it"
    found = _parts(text.partition("#")[0].replace("{job_id}", "0"), should, {"https", "http"})
    if "{job_id}" not in text or found["userinfo"] is not None:
        raise ValueError(should)
    return text


def origin(text: str) -> str:
    """Check the origin of a web page, in the form in which browsers send it."""
    should = "must be origins as browsers send them: https://host, or https://host:8443; no path, no / at the end"
    found = _parts(text, should, {"https", "http"})
    usual = {"https": "443", "http": "80"}[found["scheme"]]
    if text != f"{found['scheme']}://{found['host'].lower()}{':' + found['port'] if found['port'] else ''}":
        raise ValueError(should)
    if found["port"] == usual:
        raise ValueError(f"{should}, and no :{usual}")
    return text


def without_credentials(url: str) -> str:
    """Return a URL of the settings without user, password and options, so that it may be shown."""
    if url.startswith("amqp") and ";" in url:
        return "; ".join(map(without_credentials, url.split(";")))
    target = SCHEMES.get(scheme_of(url))
    found = (target.parts if target else URL).fullmatch(url)
    if found is None:
        return "a URL"
    port, path = found["port"], (found["path"] or "").removeprefix("/")
    return f"{found['scheme']}://{found['host'] or ''}{f':{port}' if port else ''}/{path}"


def same_server(one: str, other: str) -> bool:
    """Return whether two Redis URLs name the same database of the same server, judging by their text."""

    def place(url: str) -> tuple[object, ...]:
        parts = urlsplit(url)
        path = parts.path.strip("/") or "0"
        return parts.scheme, parts.hostname, parts.port or 6379, path, parts.query.partition("=")[2]

    return place(redis_url(one)) == place(redis_url(other))


def _redis(text: str, should: str) -> str:
    if text.startswith("redis+socket://"):
        text = "unix" + text.removeprefix("redis+socket")
    found = _parts(text, should, {"redis", "rediss", "unix"})
    if ";" in text:  # Celery would read it as two
        raise ValueError(f"must not have a ;: write it as %3B ({ENCODED})")
    if found["scheme"] == "unix":
        number = re.fullmatch("(?:(?:db|virtual_host)=([0-9]{1,9}))?", found["query"] or "")
        if number is None or found["host"] or found["port"] is not None or not (found["path"] or "/").strip("/"):
            raise ValueError("must be unix:///path?db=0 for a socket, with no other option")
        return f"{text.partition('?')[0]}?db={number[1] or 0}"
    if not _DATABASE.fullmatch(found["path"] or ""):
        raise ValueError(f"{should}: what follows the host must be the number of a database")
    if found["query"]:
        raise ValueError(f"{should}, without options after a ?; each supported option has its own setting")
    return text


def _check_amqp(text: str) -> None:
    found = _parts(text, _BROKER, {"amqp", "amqps"})
    if found["query"]:
        raise ValueError(f"{_BROKER}, without options after a ?")


def _parts(text: str, should: str, schemes: set[str]) -> "re.Match[str]":
    """Split a URL into its parts. Raises ValueError for one that a library would read differently, or not at all."""
    found = URL.fullmatch(text)
    if found is None or found["scheme"] not in schemes or not is_plain(text):
        raise ValueError(f"{should}; {ENCODED}")
    if found["scheme"] != "unix":
        check_host(found["host"], should)
    check_port(found["port"], should)
    return found
