"""Target databases: dialects, schema, and writing of cases."""
