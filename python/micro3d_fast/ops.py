# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The native operators, one typed function each: allocate, find the stream, call the core.

They take numpy, torch or cupy arrays, run where the array lives, on the caller's current stream, and
do not synchronise. A request for CUDA runs on CUDA or raises.
"""

from __future__ import annotations
