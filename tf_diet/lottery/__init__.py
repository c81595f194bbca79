"""The lottery: train, rank, trim, rewind, retrain."""
