"""Writing of chunks, each in one transaction with its ledger row."""
