# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""What notebooks show: HTML of volumes, micrographs and results, and their figures."""

from __future__ import annotations

import base64
import html.parser
import io
import re
import subprocess
import sys

import numpy as np
import pytest

import micro3d_fast as m3
from micro3d_fast import _notebook
from micro3d_fast._palette import phase_colour
from volumes import blocks

EVIL = "<script>alert('fibre')</script>"
VOLUME = m3.Microstructure(
    blocks((12, 16, 20), (0.6, 0.4), (4, 4, 4), 0),
    (2e-6, 1e-6, 1e-6),
    ("matrix", EVIL),
    {"generator": EVIL, "seed": 3},
)
FAST = {"tol": 1e-2, "voxel_size": 1.0}


class Reader(html.parser.HTMLParser):
    """Collect text and tags, and check that the tags that are opened are closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.words: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag == "img":
            self.images.append(dict(attrs))
        else:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def png(source):
    from PIL import Image

    kind, _, data = source.partition(",")
    assert kind == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))


def properties():
    box = m3.Microstructure(VOLUME.labels[:12, :12, :12], phase_names=VOLUME.phase_names)
    materials = [m3.Isotropic(E=4e9, nu=0.3, alpha=1e-6), m3.Isotropic(E=70e9, nu=0.2)]
    return [
        m3.homogenize_elasticity(box, materials, **FAST),
        m3.homogenize_conductivity(box, [1.0, 9.0], **FAST),
        m3.relative_diffusivity(box, 0, axis="x", **FAST),
        m3.property_scatter([box, box], lambda v: m3.homogenize_conductivity(v, [1, 9], **FAST)),
    ]


def results():
    micrographs = m3.Micrographs.from_volume(VOLUME, 4, planes=("xy", "xz"))
    compared = m3.compare(VOLUME[:6], VOLUME, splits=5, bootstrap=5)
    return [VOLUME, VOLUME[:, 4:12], micrographs, compared, *properties()]


def test_html_is_whole_small_escaped_and_takes_the_colours_of_the_page():
    for result in results():
        page = result._repr_html_()
        found = Reader(page)
        assert type(result).__name__ in found.text
        assert "script" not in found.tags
        assert len(page) < 100_000
        plain = re.sub(r"background:#\w{6};color:#fff", "", page)  # white on its own background
        assert not re.search(r"[;\"](color|background):(#000|black|#fff|white)", plain)


def test_html_of_a_volume():
    found = Reader(VOLUME._repr_html_())
    share = 100 * VOLUME.volume_fractions
    assert "12 × 16 × 20 voxels (z, y, x) of 2 × 1 × 1 µm" in found.text
    assert f"{EVIL} {share[1]:.2f} %" in found.text
    assert f"generator {EVIL}, seed 3" in found.text
    assert "5 µm" in found.text  # the scale bar: at most 0.4 of the longest edge, 24 µm
    for image, where in zip(found.images, (np.s_[6], np.s_[:, 8], np.s_[:, :, 10]), strict=True):
        colours = png(image["src"])
        expected = np.array([list(bytes.fromhex(phase_colour(p)[1:])) for p in (0, 1)])
        np.testing.assert_array_equal(colours, expected[VOLUME.labels[where]])
    sizes = [re.findall(r"(?:width|height):([\d.]+)px", image["style"]) for image in found.images]
    assert sizes == [["160.0", "128.0"], ["160.0", "192.0"], ["128.0", "192.0"]]


def test_html_of_a_crop_says_where_it_lies():
    assert "part [[0, 12], [4, 12], [0, 20]] (z, y, x) of [12, 16, 20] voxels; generator" in (
        Reader(VOLUME[:, 4:12]._repr_html_()).text
    )


def test_pictures_of_large_noise_stay_small(rng):
    many = m3.Microstructure(rng.integers(0, 200, (40, 300, 300)).astype(np.uint8))
    page = many._repr_html_()
    assert len(page) < 100_000
    assert all(max(png(image["src"]).shape) <= 256 for image in Reader(page).images)
    assert "… (200 phases)" in Reader(page).text


def test_html_of_micrographs_and_comparisons():
    micrographs, compared = results()[2:4]
    text = Reader(micrographs._repr_html_()).text
    assert "xy, image 1 of 4" in text
    assert "yz borrowed" in text
    text = Reader(compared._repr_html_()).text
    assert compared.verdict.outcome in text
    assert compared.verdict.sentence.partition(": ")[2] in text
    error = 100 * compared.error("S2", phase=0, plane="xy")
    assert f"matrix S2 {error:.1f} %" in text


def test_html_of_a_model():
    pytest.importorskip("torch")
    model = m3.load_model("separator")
    found = Reader(model._repr_html_())
    for name, share in zip(model.phase_names, model.volume_fractions, strict=True):
        assert f"{name} {100 * share:.2f} %" in found.text
    assert f"patch {model.patch} × {model.patch} pixels" in found.text


def test_html_of_properties_has_their_values():
    elastic, conducting, diffusing, scatter = properties()
    text = Reader(elastic._repr_html_()).text
    assert f"{elastic.E[0]:.5g}, {elastic.E[1]:.5g}" in text
    assert f"× 1e+09 xx yy zz yz xz xy xx {elastic.stiffness[0, 0] / 1e9:.4g}" in text
    assert f"x {conducting.tensor[0, 0]:.4g}" in Reader(conducting._repr_html_()).text
    assert f"tortuosity {diffusing.tortuosity:.6g}" in Reader(diffusing._repr_html_()).text
    assert "2 volumes conductivity xx" in Reader(scatter._repr_html_()).text


@pytest.mark.parametrize(
    ("size", "text"),
    [((1.0,) * 3, ""), ((1e-6,) * 3, "1 µm"), ((5e-7, 1e-6, 1e-6), "0.5 × 1 × 1 µm")],
)
def test_voxel_sizes(size, text):
    assert _notebook.voxel_text(size) == text


def test_figures_return_their_axes():
    pytest.importorskip("matplotlib")
    import matplotlib.pyplot as plt

    xy, xz, yz = VOLUME.plot()
    assert [ax.get_title() for ax in (xy, xz, yz)] == ["xy, z = 6", "xz, y = 8", "yz, x = 10"]
    assert (xz.get_xlabel(), xz.get_ylabel()) == ("x (µm)", "z (µm)")
    np.testing.assert_array_equal(xz.images[0].get_array(), VOLUME.labels[:, 8])
    np.testing.assert_allclose(xz.images[0].get_extent(), (0, 20, 24, 0))
    _, mine = plt.subplots(1, 2)
    micrographs = m3.Micrographs.from_volume(VOLUME, 4, planes=("xy", "xz"))
    assert list(micrographs.plot(mine)) == list(mine)
    with pytest.raises(ValueError, match="`axes` must be 3 axes, got 2"):
        VOLUME.plot(mine)
    plt.close("all")


def test_figures_of_directions():
    pytest.importorskip("matplotlib")
    import matplotlib.pyplot as plt

    for result, (x, y, z) in zip(
        properties()[:2],
        [properties()[0].E, np.diag(properties()[1].tensor)],
        strict=True,
    ):
        in_xy, in_xz, in_yz = (drawn.get_ydata() for drawn in result.plot().lines)
        assert (in_xy[0], in_xy[90]) == pytest.approx((x, y))
        assert (in_xz[0], in_xz[90]) == pytest.approx((x, z))
        assert (in_yz[0], in_yz[90]) == pytest.approx((y, z))
    plt.close("all")


def test_figures_of_diffusion():
    pytest.importorskip("matplotlib")
    import matplotlib.pyplot as plt

    labels = np.zeros((4, 6, 8), dtype=np.uint8)
    labels[:, 3:] = 1
    for axis, ends in (("x", (0, -1)), ("z", None)):
        found = m3.relative_diffusivity(labels, 0, axis=axis, flux=True)
        concentration, flux = found.plot()
        drawn = np.asarray(concentration.images[0].get_array().filled(np.nan))
        if ends:
            assert drawn[0, list(ends)] == pytest.approx([15 / 16, 1 / 16])  # of 8 voxels
            assert np.isnan(drawn[3:]).all()
        assert concentration.get_ylabel() == ("y (voxels)" if axis == "x" else "z (voxels)")
        known = flux.images[0].get_array().compressed()
        assert known == pytest.approx(np.ones_like(known), rel=1e-4)
    with pytest.raises(ValueError, match="`concentration` must be computed for a figure"):
        m3.relative_diffusivity(labels, 0, axis="x").plot()
    plt.close("all")


def test_figures_of_scatter():
    pytest.importorskip("matplotlib")
    import matplotlib.pyplot as plt

    layers = [np.repeat([0, 1], [n, 8 - n]).reshape(8, 1, 1) for n in (3, 4, 5)]
    found = m3.property_scatter(layers, lambda v: m3.homogenize_conductivity(v, [1.0, 9.0]))
    conductivity, fractions = found.plot()
    assert conductivity.get_title() == "conductivity"
    assert [tick.get_text() for tick in conductivity.get_xticklabels()] == ["xx", "yy", "zz"]
    points = conductivity.lines[0].get_ydata()
    assert points == pytest.approx([6.0, 5.0, 4.0])  # Voigt
    assert fractions.get_title() == "volume fraction of phase"
    with pytest.raises(ValueError, match="`axes` must be 2 axes, got 1"):
        found.plot(conductivity)
    blocked = m3.property_scatter([np.eye(3, dtype=int)] * 2, lambda v: {"value": np.inf})
    assert len(blocked.plot()[0].lines) == 1  # neither a mean nor a deviation
    plt.close("all")


def test_figures_of_a_model():
    pytest.importorskip("matplotlib")
    pytest.importorskip("torch")
    import matplotlib.pyplot as plt

    from _toy import tiny_model

    model = tiny_model()
    found = model.plot(seed=2)
    assert [ax.get_title() for ax in found] == ["xy", "xz", "yz"]
    sample = m3.sample_slices(model, "xz", 1, seed=3)[0]
    np.testing.assert_array_equal(found[1].images[0].get_array(), sample)
    plt.close("all")


def test_neither_import_nor_html_needs_matplotlib():
    code = (
        "import sys, numpy, micro3d_fast as m3;"
        "m3.Microstructure(numpy.zeros((2, 2, 2), int))._repr_html_();"
        "print('matplotlib' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"
