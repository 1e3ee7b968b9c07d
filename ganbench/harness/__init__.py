"""Runs entries: the only loop, what it notes and saves, worker processes, timing, scoring files."""
