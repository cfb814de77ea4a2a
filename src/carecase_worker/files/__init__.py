"""Files of partners: bytes to rows to items. No I/O."""
