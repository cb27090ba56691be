"""Compaction policies of users: a starting point, loading the file, and trying what is in it."""
