"""The version, for every distribution that is built from this source."""

VERSION = "0.1.0"
