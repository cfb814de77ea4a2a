"""Texts by which a URL of the settings is refused."""

ENCODED = "write special characters of a user or password with %, as %40 for @"
REDIS = "must be redis://host:6379/0, rediss:// for TLS, or unix:///path?db=0"
BROKER = f"{REDIS}, or amqp://user@host:5672/vhost (amqps:// for TLS)"
