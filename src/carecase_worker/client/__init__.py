"""The Python client of the service's HTTP contract, independent of its implementation."""
