"""The threads of an entity, and what they run: readers, conversations, the flusher, acceptors and diallers."""
