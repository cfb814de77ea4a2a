"""Settings: definition, validation, and loading from file and environment. Opens none of the configured services."""
