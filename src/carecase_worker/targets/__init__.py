"""Target databases: their tables, and the writing of cases to them."""
