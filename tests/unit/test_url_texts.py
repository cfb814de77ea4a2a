"""What becomes of each URL of the settings: the form in which it is kept, or the whole text of what it should be."""

from collections.abc import Callable

import pytest
from tests.unit.url_texts import BROKER, ENCODED, REDIS

from carecase_worker.settings.urls import services as urls
from carecase_worker.settings.urls import targets as target_urls

TARGET = "must be postgresql://user@host:5432/database or sqlite:///path"
HOSTS = "must list several hosts as ?host=a:5432&host=b:5432, or as ?host=a,b&port=5432,5432"
SQLITE = "must be sqlite:///path, or sqlite:////path from the root, of a file"
IN_MEMORY = f"{SQLITE}; a database in memory would be lost, and each process would have its own"
SOCKET = "must be unix:///path?db=0 for a socket, with no other option"
KEY_SET = "must be https://host/path, or http:// on this machine"
ORIGIN = "must be origins as browsers send them: https://host, or https://host:8443; no path, no / at the end"
PORT = "the port must be a number from 1 to 65535"
NUMBER = "what follows the host must be the number of a database"
NO_OPTIONS = "without options after a ?"
NO_HOST, BAD_HOST = "the host is missing", "the host is not a valid host name"
LONGEST_HOST = ".".join(["a" * 63] * 3 + ["b" * 61])

KEPT = [
    (urls.redis_url, "redis://h:65535/123456789", "redis://h:65535/123456789"),
    (urls.redis_url, "redis://h:1", "redis://h:1"),
    (urls.redis_url, f"redis://{LONGEST_HOST}", f"redis://{LONGEST_HOST}"),
    (urls.redis_url, "unix:///s", "unix:///s?db=0"),
    (urls.redis_url, "unix:///s?virtual_host=3", "unix:///s?db=3"),
    (urls.redis_url, "redis+socket:///s?virtual_host=123456789", "unix:///s?db=123456789"),
    (urls.broker_url, "redis+socket:///s?virtual_host=2", "redis+socket:///s?virtual_host=2"),
    (urls.broker_url, "unix://u:p@/s?db=2", "redis+socket://u:p@/s?virtual_host=2"),
    (urls.broker_url, "rediss://h/1", "rediss://h/1"),
    (urls.broker_url, "amqps://u@h:5671/v;amqp://i", "amqps://u@h:5671/v;amqp://i"),
    (target_urls.target_url, "postgresql:///d?host=a:1", "postgresql:///d?host=a:1"),
    (target_urls.target_url, "postgresql:///d?host=a&port=1", "postgresql:///d?host=a&port=1"),
    (target_urls.target_url, "postgresql:///d?port=1", "postgresql:///d?port=1"),
    (target_urls.target_url, "postgresql:///d?host=a:65535&host=b", "postgresql:///d?host=a:65535&host=b"),
    (target_urls.target_url, "postgresql://u@h:65535?service=s", "postgresql://u@h:65535?service=s"),
    (target_urls.target_url, "postgresql://?dbname=d", "postgresql://?dbname=d"),
    (target_urls.target_url, "sqlite+pysqlite:////d", "sqlite+pysqlite:////d"),
    (urls.jwks_url, "http://localhost/keys", "http://localhost/keys"),
    (urls.jwks_url, "http://127.0.0.1:8/keys", "http://127.0.0.1:8/keys"),
    (urls.jwks_url, "http://[::1]/keys", "http://[::1]/keys"),
    (urls.jwks_url, "https://h", "https://h"),
    (urls.origin, "https://h:80", "https://h:80"),
    (urls.origin, "http://h:443", "http://h:443"),
    (urls.origin, "https://a.b-c:8443", "https://a.b-c:8443"),
]

REFUSED = [
    (urls.redis_url, "http://x", f"{REDIS}; {ENCODED}"),
    (urls.redis_url, "redis://h#0", f"{REDIS}; {ENCODED}"),
    (urls.redis_url, "redis://h%0a", f"{REDIS}; {ENCODED}"),
    (urls.redis_url, "redis://ü@h", f"{REDIS}; {ENCODED}"),
    (urls.redis_url, "redis://u @h", f"{REDIS}; {ENCODED}"),
    (urls.redis_url, "redis://", f"{REDIS}: {NO_HOST}"),
    (urls.redis_url, "redis://a..b", f"{REDIS}: {BAD_HOST}"),
    (urls.redis_url, f"redis://{LONGEST_HOST}c", f"{REDIS}: {BAD_HOST}"),
    (urls.redis_url, "redis://[::g]", f"{REDIS}: between [ and ] must be an IPv6 address"),
    (urls.redis_url, "redis://h:0", f"{REDIS}: {PORT}"),
    (urls.redis_url, "redis://h:65536", f"{REDIS}: {PORT}"),
    (urls.redis_url, "redis://h:", f"{REDIS}: {PORT}"),
    (urls.redis_url, "redis://h/x", f"{REDIS}: {NUMBER}"),
    (urls.redis_url, "redis://h/1234567890", f"{REDIS}: {NUMBER}"),
    (urls.redis_url, "redis://h?db=1", f"{REDIS}, {NO_OPTIONS}; each supported option has its own setting"),
    (urls.redis_url, "redis://u:p;w@h", f"must not have a ;: write it as %3B ({ENCODED})"),
    (urls.redis_url, "unix:///a;b", f"must not have a ;: write it as %3B ({ENCODED})"),
    (urls.redis_url, "unix://h/s", SOCKET),
    (urls.redis_url, "unix://:1/s", SOCKET),
    (urls.redis_url, "unix:///", SOCKET),
    (urls.redis_url, "unix://", SOCKET),
    (urls.redis_url, "unix:///s?db=x", SOCKET),
    (urls.redis_url, "unix:///s?db=1234567890", SOCKET),
    (urls.redis_url, "redis+socket:///s?db=1&x=2", SOCKET),
    (urls.broker_url, "http://x", f"{BROKER}; {ENCODED}"),
    (urls.broker_url, "redis://h/x", f"{BROKER}: {NUMBER}"),
    (urls.broker_url, "amqp://h?x=1", f"{BROKER}, {NO_OPTIONS}"),
    (urls.broker_url, "amqp://h:0", f"{BROKER}: {PORT}"),
    (urls.broker_url, "amqp://a;amqp://", f"{BROKER}: {NO_HOST}"),
    (urls.broker_url, "amqp://a;redis://b", f"{BROKER}; {ENCODED}"),
    (target_urls.target_url, "mysql://u@h/d", f"{TARGET}; {ENCODED}"),
    (target_urls.target_url, "postgresql://u@h/d%00", f"{TARGET}; {ENCODED}"),
    (target_urls.target_url, "postgresql://u@h", f"{TARGET}: the name of the database is missing"),
    (target_urls.target_url, "postgresql://u@h:0/d", f"{TARGET}: {PORT}"),
    (target_urls.target_url, "postgresql://u@a..b/d", f"{TARGET}: {BAD_HOST}"),
    (target_urls.target_url, "postgresql://u@a,/d", f"{TARGET}: {NO_HOST}"),
    (target_urls.target_url, "postgresql://u@[::g]/d", f"{TARGET}: between [ and ] must be an IPv6 address"),
    (target_urls.target_url, "postgresql:///d?host=a,b&port=1,2,3", HOSTS),
    (target_urls.target_url, "postgresql:///d?host=a,b&port=1", HOSTS),
    (target_urls.target_url, "postgresql:///d?port=1,2", HOSTS),
    (target_urls.target_url, "postgresql:///d?port=65536", HOSTS),
    (target_urls.target_url, "postgresql:///d?port=1&port=2", HOSTS),
    (target_urls.target_url, "postgresql:///d?host=a:1&port=1", HOSTS),
    (target_urls.target_url, "postgresql:///d?host=a:x", HOSTS),
    (target_urls.target_url, "postgresql:///d?host=a&host=b&port=1", HOSTS),
    (target_urls.target_url, "postgresql:///d?host=a&host=:1", HOSTS),
    (target_urls.target_url, "postgresql:///d?host=a&host=b:123456", HOSTS),
    (target_urls.target_url, "sqlite://", IN_MEMORY),
    (target_urls.target_url, "sqlite:///?x=1", IN_MEMORY),
    (target_urls.target_url, "sqlite://h/d", IN_MEMORY),
    (target_urls.target_url, "sqlite:///:memory:", IN_MEMORY),
    (target_urls.target_url, "sqlite:///d/", IN_MEMORY),
    (target_urls.target_url, "sqlite:///d?x=1", f"{SQLITE}, {NO_OPTIONS}"),
    (urls.jwks_url, "ftp://h", f"{KEY_SET}; {ENCODED}"),
    (urls.jwks_url, "http://issuer/keys", KEY_SET),
    (urls.jwks_url, "https://u@h/keys", f"{KEY_SET}, without a user in it"),
    (urls.jwks_url, "https://h:0", f"{KEY_SET}: {PORT}"),
    (urls.origin, "ftp://h", f"{ORIGIN}; {ENCODED}"),
    (urls.origin, "https://h/", ORIGIN),
    (urls.origin, "https://u@h", ORIGIN),
    (urls.origin, "https://H", ORIGIN),
    (urls.origin, "https://h:443", f"{ORIGIN}, and no :443"),
    (urls.origin, "http://h:80", f"{ORIGIN}, and no :80"),
]  # fmt: skip

SHOWN = [
    ("redis://u:p@h:1/2", "redis://h:1/2"),
    ("rediss://:p@[::1]", "rediss://[::1]/"),
    ("unix://u:p@/s?db=1", "unix:///s"),
    ("redis+socket://u:p@/s?virtual_host=1", "redis+socket:///s"),
    ("amqp://u:p@a:1/v;amqps://u:q@b", "amqp://a:1/v; amqps://b/"),
    ("postgresql+psycopg://u:p@h:5432/d?password=x", "postgresql://h:5432/d"),
    ("postgresql:///d?host=/run&password=x", "postgresql:///d"),
    ("postgresql://u:p@?service=s", "postgresql:///"),
    ("sqlite:///d.sqlite", "sqlite:///d.sqlite"),
    ("sqlite:////run/d.sqlite", "sqlite:////run/d.sqlite"),
    ("nonsense with p in it", "a URL"),
]

SERVERS = [
    ("redis://h", "redis://h:6379/0", True),
    ("redis://u:p@h", "redis://H/", True),
    ("unix:///s", "redis+socket:///s?virtual_host=0", True),
    ("redis://h/1", "redis://h", False),
    ("redis://h:6380", "redis://h", False),
    ("redis://h", "rediss://h", False),
    ("redis://a", "redis://b", False),
    ("unix:///s?db=1", "unix:///s", False),
    ("unix:///s", "unix:///t", False),
]


@pytest.mark.parametrize(("check", "url", "kept"), KEPT)
def test_a_url_that_is_taken_is_kept_in_one_form(check: Callable[[str], str], url: str, kept: str) -> None:
    assert check(url) == kept


@pytest.mark.parametrize(("check", "url", "expected"), REFUSED)
def test_a_url_that_is_refused_is_answered_with_what_it_should_be(
    check: Callable[[str], str], url: str, expected: str
) -> None:
    with pytest.raises(ValueError) as caught:
        check(url)
    assert str(caught.value) == expected


@pytest.mark.parametrize(("url", "shown"), SHOWN)
def test_a_url_is_shown_without_what_is_secret(url: str, shown: str) -> None:
    assert urls.without_credentials(url) == shown


@pytest.mark.parametrize(("one", "other", "same"), SERVERS)
def test_urls_of_one_redis_are_known_as_such(one: str, other: str, same: bool) -> None:
    assert urls.same_server(one, other) is same
    assert urls.same_server(other, one) is same


@pytest.mark.parametrize(
    ("url", "has"),
    [
        ("postgresql://u:p@h/d", True),
        ("postgresql://u:@h/d", False),
        ("postgresql://u@h/d", False),
        ("sqlite:///d", False),
    ],
)
def test_the_password_of_a_target_is_seen(url: str, has: bool) -> None:
    assert target_urls.target_has_password(url) is has
