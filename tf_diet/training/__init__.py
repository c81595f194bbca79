# SPDX-License-Identifier: MIT
"""A training that a kill does not undo, and the folder that it lives in."""
