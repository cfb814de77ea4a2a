"""Pool processes: how they start and end, their identities, and the error handlers of last resort around them."""
