"""Sessions of either profile as connections: their clock, their lines, their outbox. No thread."""
