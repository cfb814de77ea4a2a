"""Files as sources of batches: recognised by their first bytes, split into items, taken from a watched folder."""
