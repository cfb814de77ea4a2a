"""Responses: compression, streams of events, documents that never change."""
