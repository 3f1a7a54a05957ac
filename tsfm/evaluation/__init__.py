"""How models are measured: protocols, the sets and rivals that they score, and their tables."""
