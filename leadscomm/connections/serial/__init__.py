"""Serial lines, by pyserial."""
