"""Files, worker processes and threads: what would be the same in another project."""
