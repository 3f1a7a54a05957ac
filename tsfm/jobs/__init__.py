"""Jobs: one file per verb; a config in, a report out."""
