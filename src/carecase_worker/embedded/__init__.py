"""The whole system on one machine, on servers that come as wheels."""
