"""Imported by the server of workers alone, which ends with its parent and by nothing else.

What it forks is not all of ganbench: a notebook's own processes begin as if it had done nothing.
"""

from ganbench.system.processes import stay

stay()
