"""The audit log: a line for each reading and writing of cases, chained so that a change can be noticed."""
