"""Limits of requests: connections, bodies, memory, threads, log lines."""
