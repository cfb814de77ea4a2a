"""Health of a worker: its signs of life, the verdict on them, the health server and the health check."""
