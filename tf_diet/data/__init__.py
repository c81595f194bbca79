# SPDX-License-Identifier: MIT
"""Data as `fit` takes it, read in one way wherever it is given."""
