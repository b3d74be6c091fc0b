# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The known file formats."""

from __future__ import annotations

from ._abaqus import INP
from ._hdf5 import HDF5
from ._numpy import NPY, NPZ
from ._raw import RAW
from ._tiff import TIFF
from ._vti import VTI
from ._zarr import ZARR

#: All formats; a new one is one module and one entry here.
FORMATS = (NPY, NPZ, TIFF, VTI, HDF5, ZARR, RAW, INP)
#: Suffix to its format, of those that `save` and `load` accept.
WRITERS = {suffix: form for form in FORMATS for suffix in form.suffixes}
READERS = {suffix: form for suffix, form in WRITERS.items() if form.read is not None}
READERS[".dream3d"] = HDF5
#: Those of which `open_volume` leaves the voxels on disk.
OPENERS = {suffix: form for suffix, form in WRITERS.items() if form.open is not None}
#: Suffixes that `save` and `load` accept.
WRITABLE, READABLE = tuple(WRITERS), tuple(READERS)
