"""Tests of the sign-in, which share an intake and a provider."""
