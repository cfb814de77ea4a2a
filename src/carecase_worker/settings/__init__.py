"""Settings: their definition, and reading them from file and environment."""
