"""A client of the HTTP contract; it knows nothing of how the service works."""
