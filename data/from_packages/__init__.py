"""Data sets that travel inside packages of PyPI and npm, as the files that their cards describe."""
