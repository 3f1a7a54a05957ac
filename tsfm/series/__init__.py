"""Series: a raw frame becomes a `SeriesFrame`, a pool of single series, and windows."""
