"""Results of entries: the file, the board's folder, files of samples, statistics over seeds."""
