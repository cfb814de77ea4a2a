"""Sections of the configuration: one module each, with the settings, their defaults and descriptions."""
