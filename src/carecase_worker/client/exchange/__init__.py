"""Exchanges with the service: the calls of the contract as steps, verdicts on responses, and conversion for httpx."""
