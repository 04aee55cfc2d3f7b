"""Boards: their firmware compiled, uploaded and spoken to."""
