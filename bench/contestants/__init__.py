"""The ways to write cases that are compared; each prepares in a process of its own and then runs when told to."""
