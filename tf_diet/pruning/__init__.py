# SPDX-License-Identifier: MIT
"""Who goes, and taking them out."""
