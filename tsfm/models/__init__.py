"""Models: windows become tokens, next patches and quantiles; checkpoints are read and written."""
