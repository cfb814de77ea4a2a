"""Tracing: spans of requests and of attempts at chunks, and their export to a collector."""
