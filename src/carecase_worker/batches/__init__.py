"""Batches: bytes to items to chunks, and chunks and outcomes to payloads and back. No I/O."""
