"""A lake of Parquet parts: planned by item, filled part by part, committed one by one."""
