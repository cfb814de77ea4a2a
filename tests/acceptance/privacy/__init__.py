"""Tests of privacy, which share a system."""
