# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The package's own error classes. Each inherits from what a caller would catch anyway."""


class CudaError(RuntimeError):
    """A CUDA call failed while an operator ran."""


class CudaUnavailableError(CudaError, ValueError):
    """CUDA was asked for and is not there: not built in, or no usable device.

    Asking for a device is input, so this is a ValueError too.
    """
