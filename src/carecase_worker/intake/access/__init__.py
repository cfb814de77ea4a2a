"""Access: credentials, the databases that a caller may use, its rate, and the audit log of what it did."""
