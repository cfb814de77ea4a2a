"""The command line: a package per kind of user, a file per command group."""
