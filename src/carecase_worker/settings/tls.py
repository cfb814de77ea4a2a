"""TLS options of Redis connections for redis-py and kombu."""

from typing import Any

from carecase_worker.settings.model import RedisSettings


def redis_tls_options(settings: RedisSettings) -> dict[str, Any]:
    """Return the TLS options of a rediss:// connection: the server's certificate and name are always checked."""
    files = {"ssl_ca_certs": settings.ca_file, "ssl_certfile": settings.cert_file, "ssl_keyfile": settings.key_file}
    named = {option: str(path) for option, path in files.items() if path is not None}
    return {"ssl_cert_reqs": "required", "ssl_check_hostname": True, **named}
