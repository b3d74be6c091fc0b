# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The sections of gpu_check.py, one module each with a function run(job)."""
