"""The board: its entries, their ranks and ties, checks of its files, submissions."""
