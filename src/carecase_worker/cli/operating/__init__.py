"""Commands of those who operate an installation: databases, keys, webhooks, workers, audit, faults."""
