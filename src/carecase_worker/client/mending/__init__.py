"""Failed items: found in the file that was sent, written to a new file, and resent."""
