"""The broker: Celery's settings, and the notifier that tells workers of open chunks."""
