# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Volumes to and from files; the format follows from the suffix.

======== ==== ===== ========== =========== ========== ====== ======================================
suffix   read write voxel size phase names provenance fields notes
======== ==== ===== ========== =========== ========== ====== ======================================
.npy     yes  yes                                            labels only
.npz     yes  yes   yes        yes         yes        yes    compressed; never pickle
.tif     yes  yes   yes        yes         yes               ImageJ stack (above 2 GB OME BigTIFF)
.vti     yes  yes   yes        yes         yes        yes    VTK ImageData, cell data, zlib [1]_
.h5      yes  yes   yes        yes         yes        yes    gzip
.zarr    yes  yes   yes        yes         yes        yes    a directory; needs the zarr package
.raw     yes  yes   yes        yes         yes               bytes, x fastest; the rest in .raw.json
.inp          yes   yes        yes         yes               Abaqus C3D8, one element set per phase
======== ==== ===== ========== =========== ========== ====== ======================================

.. [1] VTK has no bool and no float16: such fields come back as uint8 and float32.

The suffixes .tiff and .hdf5 are read and written like .tif and .h5; .dream3d is read.  Array order
is ``[z, y, x]`` in all formats, x fastest.  Lengths are in metres; TIFF also holds micrometres for
ImageJ and OME readers.  Saving warns of what the format cannot hold.  Every file is written
atomically (``_atomic``).

Files are read whole or refused: nothing is allocated that a header promises and the file cannot
hold, and what a library would repair in silence (missing tiles, planes, chunks or pieces) is an
error.  Our own files other than .npy also hold SHA-256 digests of their labels and fields; arrays
that do not match them are refused, unless ``name`` asks for one.  Changed labels are best saved
with `save` again.

Files of other programs are read if they hold one labelled volume; so are folders, patterns and
lists of images, one per slice.  A voxel size is taken from ImageJ, OME, VTK and DREAM.3D metadata,
from the tags of electron microscopes and the resolution of TIFF files, and is 1.0 ("in voxels")
without them; one that has no meaning as a length is refused unless ``voxel_size`` is given.  Arrays
of VTK may lie on cells or points; ghosts are left out.
"""

from __future__ import annotations

from ._format import Format
from ._registry import FORMATS, READABLE, WRITABLE
from ._volumes import OUTSIDE, load, open_volume, read_options, save

__all__ = [
    "FORMATS",
    "OUTSIDE",
    "READABLE",
    "WRITABLE",
    "Format",
    "load",
    "open_volume",
    "read_options",
    "save",
]
