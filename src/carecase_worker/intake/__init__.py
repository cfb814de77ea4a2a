"""HTTP in, HTTP out. Opens no target database and looks into no case."""
