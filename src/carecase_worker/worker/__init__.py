"""Celery in, job store and target databases out."""
