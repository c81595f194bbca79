# SPDX-License-Identifier: MIT
"""What hangs together: calls, labels, groups and cost. No layer is named."""
