# SPDX-License-Identifier: MIT
"""How fast a model runs here, and whether it fits on a board."""
