"""`python -m ganbench`: the command line, also from a checkout with nothing installed."""

from ganbench.cli import main

if __name__ == "__main__":
    main()
