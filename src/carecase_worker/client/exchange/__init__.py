"""Exchanges with the service: calls as sans-I/O steps, verdicts on responses, and conversion for httpx."""
