# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Every operator again in slow, plain numpy: the definitions that tests compare against."""
