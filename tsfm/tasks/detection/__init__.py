"""From forecast errors to scores of rows, thresholds and streams."""
