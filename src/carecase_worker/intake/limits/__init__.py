"""Bounds on what requests may take: connections, bodies, memory, threads, log lines."""
