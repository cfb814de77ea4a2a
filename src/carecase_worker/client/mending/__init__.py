"""Items that failed: found in the file that was sent, written to one of their own, and sent again."""
