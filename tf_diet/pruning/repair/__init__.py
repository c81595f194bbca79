# SPDX-License-Identifier: MIT
"""Repair: make up for removed units before any retraining."""
