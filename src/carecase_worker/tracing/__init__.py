"""Traces: spans of requests and of attempts at chunks, and their way to a collector."""
