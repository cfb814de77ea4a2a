"""Files as sources of batches: format detection, splitting into items, and the watched folder."""
