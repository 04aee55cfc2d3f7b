"""Data larger than memory: files, and how far they are."""
