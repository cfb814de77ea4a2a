"""Sections of the configuration: one module for each, with its settings, their defaults and their meaning."""
