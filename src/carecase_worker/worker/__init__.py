"""The worker: it takes notifications from Celery and chunks from the job store, and writes to target databases."""
