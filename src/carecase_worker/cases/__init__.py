"""What a case is. No I/O."""
