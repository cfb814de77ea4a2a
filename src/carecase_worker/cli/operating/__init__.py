"""Commands for operators: databases, keys, webhooks, workers, audit, diagnosis."""
