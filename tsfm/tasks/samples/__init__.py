"""Whole series with labels: read, made more, and learned from."""
