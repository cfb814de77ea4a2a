"""Pool processes: how they start and end, their identities, and their last error handlers."""
