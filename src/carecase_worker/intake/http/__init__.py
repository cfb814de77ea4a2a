"""HTTP: envelope and problems, and a room for each stage of a request. Knows no job."""
