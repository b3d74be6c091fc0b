# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Images that the tests of micrographs share, and how they load and refuse them."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from micro3d_fast import synthetic
from micro3d_fast.micrographs import Micrographs

VOLUME = synthetic.level_cut((40, 44, 48), (0.6, 0.4), 3.0, seed=1)
LABELS = VOLUME.labels
GREY = (LABELS * 255).astype(np.uint8)
MAP = {0: 0, 255: 1}
SERIAL = ".*amount to about"  # what loading neighbouring slices of a volume warns of


def pillow():
    return pytest.importorskip("PIL.Image")


def write(path, array, **options):
    pillow().fromarray(array).save(path, **options)
    return path


def loaded(path, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", SERIAL)
        return Micrographs.load({"xy": path}, **{"phases": MAP, **options}).images["xy"]


def refused(error, message, images, **options):
    with pytest.raises(error, match=message):
        Micrographs.load(images, **options)


def transverse(axis):
    """A volume that is short along one axis and alike along the other two."""
    lengths = [6.0, 6.0, 6.0]
    lengths["zyx".index(axis)] = 2.0
    return synthetic.separator((80, 80, 80), 0.4, lengths, seed=5)
