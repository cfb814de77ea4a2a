"""Queries across jobs: lists, the overview, measures, and the open jobs of a database."""
