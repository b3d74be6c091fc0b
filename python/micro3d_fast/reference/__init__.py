# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Every operator in slow, plain numpy: the definitions that the tests compare against."""
