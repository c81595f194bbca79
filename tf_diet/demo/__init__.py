# SPDX-License-Identifier: MIT
"""The main job, from the notes that ship to a sketch for a board."""
