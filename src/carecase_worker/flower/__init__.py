"""Flower behind a password: the operators' page, of the broker's events alone."""
