"""Commands for senders of batches. They use only the service's HTTP contract."""
