"""Heartbeats of workers, the offsets of their clocks, and detection of work that no worker takes."""
