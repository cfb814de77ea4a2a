"""Flower behind a password: the operators' page, fed only by the broker's events."""
