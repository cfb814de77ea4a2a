"""Dialects: one object per kind of target database, with everything specific to it."""
