"""One file a task: each defines TASK."""
