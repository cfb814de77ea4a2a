"""Commands that run a role of the service, or all of them, until they are stopped."""
