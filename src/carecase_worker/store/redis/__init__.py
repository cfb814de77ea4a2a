"""Redis itself: connections, errors, pipelining, checks, and the rights of its users."""
