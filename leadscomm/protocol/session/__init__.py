"""Reliable sessions: what two peers say, and what either knows."""
