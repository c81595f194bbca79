# SPDX-License-Identifier: MIT
"""Sound: features, notes, synthesis and the losses that compare sounds."""
