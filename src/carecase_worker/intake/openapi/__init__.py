"""The published description, and its page."""
