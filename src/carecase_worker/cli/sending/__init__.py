"""Commands of those who send batches and follow their jobs. They know the service by its HTTP contract alone."""
