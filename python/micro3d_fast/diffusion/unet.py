# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The conditional 2D U-Net: one network for the three planes (paper, Section 2.4 and Table 1).

From the paper: base width, multipliers, attention and cross-attention per level, heads, the width
of the conditional embedding, the positional encoding of t, the pooled condition added to the time
embedding, and keys and values of the condition concatenated to those of self-attention.  Details
that Table 1 leaves open are our interpretation: they follow the public architecture whose
vocabulary it uses (Imagen's U-Net, not its Efficient U-Net: GroupNorm 8, scale-shift,
global-context gates, multi-query self-attention with normalised queries and keys, pixel-(un)shuffle
resampling), with one learned token for the plane where that architecture has text.

Conditioning depends on (t, plane) alone, so `UNet.condition` is a separate call: a sampler computes
it once per pass for a batch of one, and `UNet.forward` broadcasts it over the slices.

Beyond the paper, the phase fractions of the image can join the plane as a condition
(`UNetConfig.fractions`): their embedding is added to that of the time, and a learned null embedding
replaces fractions that are not given.

Shapes: image batches are (B, C, H, W) with H and W multiples of `UNetConfig.stride`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .. import _checks
from .._planes import PLANES
from .layers import (
    Condition,
    Conv,
    CrossAttention,
    Downsample,
    FractionEmbedding,
    ResnetBlock,
    Transformer,
    Upsample,
    Widen,
    conv_silu,
    joined,
    upsampled,
)

__all__ = ["NO_PLANE", "PRESETS", "UNet", "UNetConfig"]

NO_PLANE = len(PLANES)  # index of the dropped plane in classifier-free guidance


# What a configuration from a file may request before anything is built of it.
_LIMITS = {
    "channels": (1, 256),
    "dim": (4, 2048),
    "multipliers": (1, 64),
    "blocks": (1, 32),
    "heads": (1, 256),
    "head_dim": (1, 1024),
    "cond_dim": (1, 1 << 14),
    "patch": (1, 16),
    "fine": (1, 1024),
    "stem": (1, 63),
    "fractions": (0, 256),
}
_PER_LEVEL = ("multipliers", "blocks", "attention", "cross_attention")
_SWITCHES = (
    "attention",
    "cross_attention",
    "mid_attention",
    "global_context",
    "final_block",
    "tapered",
)


@dataclass(frozen=True)
class UNetConfig:
    """Architecture of a `UNet`; `PRESETS` holds three of them by name."""

    channels: int = 1
    dim: int = 128  # base width
    multipliers: tuple[int, ...] = (1, 2, 4, 8)  # output width of a level is dim * multiplier
    blocks: tuple[int, ...] = (4, 4, 4, 4)  # residual blocks per level, the entry block included
    attention: tuple[bool, ...] = (False, True, True, True)  # self-attention at the end of a level
    cross_attention: tuple[bool, ...] = (False, True, True, True)  # in the entry block of a level
    mid_attention: bool = True
    heads: int = 8
    head_dim: int = 64
    cond_dim: int = 512
    patch: int = 1  # pixel-unshuffle factor in front of the first level
    fine: int = 16  # width of the full-resolution end that patch > 1 needs
    stem: tuple[int, ...] = (3, 7, 15)  # kernel sizes of the first convolution
    global_context: bool = True  # squeeze-excite gate with a soft-max pool
    final_block: bool = True  # one more residual block at full width before the output
    tapered: bool = False  # compute at the level's own width dim * multiplier, not at its input's
    fractions: int = 0  # number of phases whose fractions are a condition, or 0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if isinstance(value, list):  # JSON has no tuples
                object.__setattr__(self, name, tuple(value))
        for name, (least, most) in _LIMITS.items():
            values = getattr(self, name)
            for value in values if isinstance(values, tuple) else (values,):
                _checks.integer(value, name=name, minimum=least, maximum=most)
        if self.dim % 8 or not all(size % 2 for size in self.stem):
            wanted = "be a multiple of 8, and every size in `stem` odd"
            raise _checks.refuse("dim", wanted, f"{self.dim} and {_checks.shown(self.stem)}")
        for name in _PER_LEVEL:
            values = getattr(self, name)
            if not isinstance(values, tuple) or not 1 <= len(values) == len(self.multipliers) <= 8:
                wanted = "have one entry for each of 1 to 8 levels"
                raise _checks.refuse(name, wanted, _checks.shown(values))
        for name in _SWITCHES:
            values = getattr(self, name)
            for value in values if isinstance(values, tuple) else (values,):
                _checks.boolean(value, name=name)

    @property
    def stride(self) -> int:
        """Image sides must be multiples of this number."""
        return self.patch * 2 ** (len(self.multipliers) - 1)


PRESETS: dict[str, UNetConfig] = {
    "paper": UNetConfig(),
    "base": UNetConfig(
        dim=64,
        multipliers=(1, 2, 3, 4),
        blocks=(2, 2, 2, 2),
        attention=(False, False, True, True),
        cross_attention=(False, False, False, False),
        cond_dim=256,
        heads=4,
        stem=(3,),
        global_context=False,
        tapered=True,
    ),
    "small": UNetConfig(
        dim=16,
        multipliers=(3, 6, 6),
        blocks=(2, 2, 2),
        attention=(False, False, True),
        cross_attention=(False, False, False),
        cond_dim=128,
        heads=4,
        head_dim=32,
        patch=2,
        stem=(3,),
        global_context=False,
        final_block=False,
        tapered=True,
    ),
}


class _Level(nn.Module):
    """Residual blocks, an optional transformer and a resampling layer."""

    blocks: Any  # a ModuleList of ResnetBlock
    attention: Transformer | None
    resample: Any

    def __init__(
        self, blocks: list[ResnetBlock], attention: Transformer | None, resample: nn.Module
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.attention = attention
        self.resample = resample


class UNet(nn.Module):
    """Conditional U-Net: (x_t, t, plane) to the prediction (noise, x0 or v)."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = c = config
        # The order of creation fixes the initial weights of a seed and the optimizer's state.
        self._add_conditioning()
        widths = [c.dim * m for m in c.multipliers]
        first = widths[0] if c.tapered else c.dim
        shares = [first // 2**i for i in range(1, len(c.stem))]
        shares.append(first - sum(shares))
        in_channels = c.channels * c.patch**2
        self.stem = nn.ModuleList(
            Conv(in_channels, n, k) for n, k in zip(shares, sorted(c.stem), strict=True)
        )
        self._add_output(self._add_levels(widths, first))
        self.fraction = FractionEmbedding(c.fractions, 4 * c.dim) if c.fractions else None
        self.periodic = (False, False)

    def _add_conditioning(self) -> None:
        """Add the embeddings of the time and the plane."""
        c = self.config
        embedding_dim = 4 * c.dim
        self.time = nn.Sequential(nn.Linear(c.dim, embedding_dim), nn.SiLU())
        self.time_embedding = nn.Linear(embedding_dim, embedding_dim)
        self.time_tokens = nn.Linear(embedding_dim, 2 * c.cond_dim)
        self.plane_token = nn.Embedding(len(PLANES) + 1, c.cond_dim)
        self.pooled = nn.Sequential(
            nn.LayerNorm(c.cond_dim),
            nn.Linear(c.cond_dim, embedding_dim),
            nn.SiLU(),
            nn.Linear(embedding_dim, embedding_dim),
        )
        self.token_norm = nn.LayerNorm(c.cond_dim)

    def _block(self, i: int, in_dim: int, out_dim: int, *, entry: bool) -> ResnetBlock:
        """Return a residual block of level i; the entry block may have cross-attention."""
        c = self.config
        cross = None
        if entry and c.cross_attention[i]:
            cross = CrossAttention(out_dim, c.heads, c.head_dim, c.cond_dim)
        context = c.global_context and not entry
        return ResnetBlock(in_dim, out_dim, 4 * c.dim, cross=cross, global_context=context)

    def _attention(self, i: int, dim: int) -> Transformer | None:
        """Return the self-attention at the end of level i, or None for a level without it."""
        c = self.config
        return Transformer(dim, c.heads, c.head_dim, c.cond_dim) if c.attention[i] else None

    def _add_levels(self, widths: list[int], dim: int) -> int:
        """Add the levels down, the middle and the levels up; return the width at the end."""
        c, last, skips = self.config, len(widths) - 1, []
        self.downs, self.ups = nn.ModuleList(), nn.ModuleList()
        for i, out_dim in enumerate(widths):
            # A plain level computes at its input's width and widens on the way down, as in the
            # paper; a tapered one computes at its own width.
            next_dim = widths[min(i + 1, last)] if c.tapered else out_dim
            blocks = [self._block(i, dim, dim, entry=j == 0) for j in range(c.blocks[i])]
            down: nn.Module
            if i < last:
                down = Downsample(dim, next_dim)
            else:
                down = nn.Identity() if c.tapered else Widen(dim, next_dim)
            self.downs.append(_Level(blocks, self._attention(i, dim), down))
            skips.append(dim)
            dim = next_dim

        self.mid1 = self._block(last, dim, dim, entry=True)
        self.mid_attention = (
            Transformer(dim, c.heads, c.head_dim, None) if c.mid_attention else None
        )
        self.mid2 = self._block(last, dim, dim, entry=True)

        for i in reversed(range(len(widths))):
            blocks = [self._block(i, dim + skips[i], dim, entry=j == 0) for j in range(c.blocks[i])]
            next_dim = skips[i - 1] if c.tapered else skips[i]
            up = Upsample(dim, next_dim) if i > 0 else nn.Identity()
            self.ups.append(_Level(blocks, self._attention(i, dim), up))
            dim = next_dim if i > 0 else dim
        return dim

    def _add_output(self, dim: int) -> None:
        """Add the last block and the head, which starts at zero."""
        c = self.config
        self.final = None
        if c.final_block:
            self.final = ResnetBlock(dim, c.dim, 4 * c.dim, global_context=c.global_context)
        if c.patch > 1:  # back to full resolution, beside the noisy image itself
            self.unpatch = nn.Sequential(
                nn.Conv2d(dim, c.fine * c.patch**2, 1), nn.SiLU(), nn.PixelShuffle(c.patch)
            )
            self.fine = nn.Sequential(
                Conv(c.fine + c.channels, c.fine, 3), nn.SiLU(), Conv(c.fine, c.fine, 3), nn.SiLU()
            )
            self.head = Conv(c.fine, c.channels, 3)
        else:
            self.head = Conv(c.dim, c.channels, 3)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(cast(Tensor, self.head.bias))

    def condition(
        self,
        t: Tensor,
        plane: Tensor,
        fractions: Tensor | None = None,
        kept: Tensor | None = None,
    ) -> Condition:
        """Embed time steps ``t`` (B,), planes (B,) of 0, 1, 2 or `NO_PLANE`, and phase fractions.

        ``fractions`` (B, P) need a network with a fraction condition; None, and rows where ``kept``
        (B,) is False, mean "not given".
        """
        if fractions is not None and self.fraction is None:
            wanted = "be None for a network without a fraction condition"
            raise _checks.refuse("fractions", wanted, _checks.shown(fractions))
        weight = self.time_embedding.weight
        half = self.config.dim // 2
        frequency = torch.exp(
            torch.arange(half, device=t.device) * (-math.log(10000.0) / (half - 1))
        )
        angle = t.float()[:, None] * frequency
        position = torch.cat((angle.sin(), angle.cos()), dim=-1)  # (B, dim)
        hidden = self.time(position.to(weight.dtype))
        plane_token = self.plane_token(plane)  # (B, cond_dim)
        embedding = self.time_embedding(hidden) + self.pooled(plane_token)
        if self.fraction is not None:
            embedding = embedding + self.fraction(fractions, kept)
        time_tokens = self.time_tokens(hidden).unflatten(-1, (2, -1))
        tokens = self.token_norm(torch.cat((time_tokens, plane_token[:, None]), dim=1))
        return Condition(F.silu(embedding), tokens)

    def set_periodic(self, rows: bool, columns: bool) -> None:
        """Set along which axes of the image every convolution is periodic."""
        self.periodic = (rows, columns)
        for module in self.modules():
            if isinstance(module, Conv):
                module.periodic = (rows, columns)

    def forward(self, image: Tensor, cond: Condition) -> Tensor:
        """Return the prediction for a batch of noisy images."""
        c = self.config
        x = F.pixel_unshuffle(image, c.patch) if c.patch > 1 else image
        x = (
            torch.cat([conv(x) for conv in self.stem], dim=1)
            if len(self.stem) > 1
            else self.stem[0](x)
        )
        skips: list[Tensor] = []
        # types are quoted: torch 2.6 cannot trace them, and would compile the network in pieces
        for level in cast("Iterable[_Level]", self.downs):
            for i, block in enumerate(level.blocks):
                x = block(x, cond)
                if i > 0:
                    skips.append(x)
            if level.attention is not None:
                x = level.attention(x, cond)
            skips.append(x)
            x = level.resample(x)
        x = self.mid1(x, cond)
        if self.mid_attention is not None:
            x = self.mid_attention(x, cond)
        x = self.mid2(x, cond)
        for level in cast("Iterable[_Level]", self.ups):
            for block in level.blocks:
                x = block(joined(x, skips.pop() * 2**-0.5), cond)
            if level.attention is not None:
                x = level.attention(x, cond)
            x = level.resample(x)
        if self.final is not None:
            x = self.final(x, cond)
        if c.patch > 1:
            coarse = upsampled(x, cast(nn.Conv2d, self.unpatch[0]), c.patch)
            x = conv_silu(joined(coarse, image), cast(Conv, self.fine[0]))
            x = conv_silu(x, cast(Conv, self.fine[2]))
        return self.head(x)
