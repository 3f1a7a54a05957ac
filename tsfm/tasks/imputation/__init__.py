"""Which gaps are filled, from which side, and how the rows come back as they were."""
