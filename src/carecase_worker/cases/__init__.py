"""Cases: their fields, their validation and their outcomes. No I/O."""
