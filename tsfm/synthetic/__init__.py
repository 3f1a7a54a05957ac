"""Synthetic: seeded generators of series, one family a file, and their mixture."""
