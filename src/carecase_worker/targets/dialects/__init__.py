"""Dialects: one object for each kind of target database, with all that is peculiar to it."""
