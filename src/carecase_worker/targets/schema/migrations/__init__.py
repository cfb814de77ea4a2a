"""Alembic migrations of a target database."""
