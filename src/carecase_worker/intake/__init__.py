"""HTTP in, HTTP out. Opens no target database, and reads of a case its key alone."""
