"""Tasks: a model and a frame become a frame."""
