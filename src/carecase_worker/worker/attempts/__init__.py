"""Attempts at chunks: claim, plan, write, complete or retry; alone or in groups."""
