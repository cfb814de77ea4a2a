"""Settings: their definition, and their reading from file and environment. Nothing here opens what a setting names."""
