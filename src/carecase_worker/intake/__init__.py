"""The HTTP service. It opens no target database, and reads only the key of a case."""
