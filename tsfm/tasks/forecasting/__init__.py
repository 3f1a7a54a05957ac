"""From arrays to quantiles: contexts, views of a series, and the rivals in the same form."""
