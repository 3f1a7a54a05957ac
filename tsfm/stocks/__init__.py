"""Stocks: panels, pretext tasks, ranking, selection and backtests; all that knows what one is."""
