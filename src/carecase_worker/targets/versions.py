"""The lowest versions of the databases that are supported; docs/operations/versions.md says what needs them."""

LOWEST_POSTGRES = 14
"""The first with `client_connection_check_interval`: a worker that is gone keeps no locks."""

LOWEST_SQLITE = (3, 35, 0)
"""The first with RETURNING."""
