"""The outbox and the inbox of one program, on its disk."""
