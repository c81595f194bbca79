# SPDX-License-Identifier: MIT
"""The lottery: train, rank, trim, rewind, retrain."""
