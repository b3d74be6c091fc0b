# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Studies of quality and properties, which take hours: see `__main__.py`."""
