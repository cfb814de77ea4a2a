"""Tests of the limits of a client, which share an intake."""
