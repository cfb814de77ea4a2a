"""The schema of a target database: its migrations, and its comparison with the tables that this version needs."""
