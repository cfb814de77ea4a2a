"""Batch ingestion of CareCases: accepted in milliseconds, applied exactly once, in order of acceptance."""
