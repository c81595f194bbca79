"""Who goes, and taking them out."""
