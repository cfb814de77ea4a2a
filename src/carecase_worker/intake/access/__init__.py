"""Access: credentials, database grants, rate limits, and the audit trail."""
