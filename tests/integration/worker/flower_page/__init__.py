"""Tests of the operators' page, which share one Flower."""
