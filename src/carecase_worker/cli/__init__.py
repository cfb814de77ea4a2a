"""The command line: a room for each kind of user, one file per command group."""
