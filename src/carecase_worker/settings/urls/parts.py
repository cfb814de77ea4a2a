"""Common parts of the URLs of all settings: hosts, ports and allowed characters. Pure."""

import re
import unicodedata
from ipaddress import IPv6Address
from urllib.parse import unquote

URL = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://"
    r"(?:(?P<userinfo>[^/?#\[\]]*)@)?"
    r"(?P<host>\[[^\[\]/?#@]*\]|[^:@/?#\[\]]*)(?::(?P<port>[^:@/?#\[\]]*))?"
    r"(?P<path>/[^?#]*)?(?:\?(?P<query>[^#]*))?"
)
_LABEL = "[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = re.compile(rf"(?=.{{1,253}}$){_LABEL}(?:\.{_LABEL})*\.?")
ENCODED = "write special characters of a user or password with %, as %40 for @"


def check_host(text: str, should: str) -> None:
    """Check a host of a URL. Raises ValueError with what the URL should be."""
    if text.startswith("["):
        if not is_ipv6(text[1:-1]):
            raise ValueError(f"{should}: between [ and ] must be an IPv6 address")
        return
    try:
        name = text.encode("idna").decode()
    except UnicodeError:
        name = ""
    if not _HOST.fullmatch(name):
        raise ValueError(f"{should}: the host is {'not a valid host name' if text else 'missing'}")


def is_ipv6(text: str) -> bool:
    """Return whether a text is an IPv6 address."""
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True


def check_port(text: str | None, should: str) -> None:
    """Check the port of a URL, if there is one. Raises ValueError with what the URL should be."""
    if text is not None and not is_port(text):
        raise ValueError(f"{should}: the port must be a number from 1 to 65535")


def is_port(text: str) -> bool:
    """Return whether a text is the number of a port."""
    return re.fullmatch("[0-9]{1,5}", text) is not None and 0 < int(text) < 65536


def has_control(text: str) -> bool:
    """Return whether a text has control characters or lone surrogates: libraries drop them or fail on them."""
    return any(unicodedata.category(sign) in ("Cc", "Cs") for sign in text)


def is_plain(text: str) -> bool:
    """Return whether a URL is ASCII without spaces (RFC 3986), and has no control characters when unquoted."""
    return text.isascii() and " " not in text and not has_control(unquote(text))
