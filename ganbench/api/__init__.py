"""ganbench from Python: what a script or a notebook calls, each name also in `ganbench` itself."""
