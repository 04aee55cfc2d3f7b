"""What waits to be written, and who writes it."""
