"""The web page for jobs."""
