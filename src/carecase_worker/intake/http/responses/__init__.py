"""Responses: compression, event streams, static documents."""
