"""The worker: it receives notifications by Celery, claims chunks from the job store, writes to target databases."""
