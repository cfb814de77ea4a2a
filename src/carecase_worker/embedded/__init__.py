"""The whole system on one machine, with servers installed as wheels."""
