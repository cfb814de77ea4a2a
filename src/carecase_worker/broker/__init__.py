"""The broker: Celery's settings, and the notifier that sends workers the ids of open chunks."""
