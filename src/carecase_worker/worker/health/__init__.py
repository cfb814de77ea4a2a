"""Health of a worker: its signs of life, the verdict on them, and the servers and checks that publish it."""
