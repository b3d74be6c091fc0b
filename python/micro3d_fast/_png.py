# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Labelled images and pictures as PNG."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np

from ._palette import phase_rgb


def data_uri(data: bytes, kind: str = "image/png") -> str:
    """Return ``data`` as a ``data:`` URI."""
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def label_png(
    labels: np.ndarray, *, longest: int | None = None, colours: int | None = None
) -> bytes:
    """Return a 2D label image as a PNG in the phase colours.

    One pixel per voxel; an image longer than ``longest`` is averaged down to that, and then has at
    most ``colours`` colours if they are given.
    """
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(labels, dtype=np.uint8))
    picture.putpalette(phase_rgb().tobytes())
    if longest is not None and max(labels.shape) > longest:
        scale = longest / max(labels.shape)
        size = tuple(max(1, round(n * scale)) for n in reversed(labels.shape))
        picture = picture.convert("RGB").resize(size, Image.Resampling.BOX)
        if colours is not None:
            picture = picture.quantize(colours, dither=Image.Dither.NONE)
    return _png(picture)


def rgb_png(pixels: np.ndarray) -> bytes:
    """Return an (h, w, 3) or (h, w, 4) uint8 picture as a PNG."""
    from PIL import Image

    return _png(Image.fromarray(np.ascontiguousarray(pixels)))


def _png(picture: Any) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "PNG", optimize=True)
    return stream.getvalue()
