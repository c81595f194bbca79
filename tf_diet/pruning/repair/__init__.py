"""Repair: make up for removed units before any retraining."""
