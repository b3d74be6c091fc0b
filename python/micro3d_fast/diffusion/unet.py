# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The conditional 2D U-Net: one network for the three planes (paper, Section 2.4 and Table 1).

What is the paper's: base width, multiples, attention and cross-attention per level, heads, the
width of the conditional embedding, positional encoding of t, the pooled condition added to the time
embedding, and keys and values of the condition concatenated to those of self-attention.  What is
our reading: the details that Table 1 leaves open follow the public architecture whose vocabulary it
uses (Imagen's efficient-free U-Net: GroupNorm 8, scale-shift, global-context gates, multi-query
self-attention with normalised queries and keys, pixel-(un)shuffle resampling), and the plane is one
learned token where that architecture has text.

Conditioning depends on (t, plane) alone, so `UNet.condition` is a call of its own: a sampler
computes it once a pass for a batch of one and `UNet.forward` broadcasts it over the slices.

Beyond the paper, the phase fractions of the image can join the plane as a condition
(`UNetConfig.fractions`): their embedding is added to that of the time, and a learned null embedding
stands for fractions that are not given.

Shapes: image batches are (B, C, H, W) with H and W multiples of `UNetConfig.stride`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PLANES = ("xy", "xz", "yz")
NO_PLANE = len(PLANES)  # the dropped condition of classifier-free guidance


@dataclass(frozen=True)
class UNetConfig:
    """Architecture of a `UNet`; `PRESETS` names three of them."""

    channels: int = 1
    dim: int = 128  # base width
    multipliers: tuple[int, ...] = (1, 2, 4, 8)  # output width of a level is dim * multiplier
    blocks: tuple[int, ...] = (4, 4, 4, 4)  # residual blocks a level, the entry block included
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
    tapered: bool = False  # a level runs at its own width dim * multiplier (else at its input's)
    fractions: int = 0  # phases whose fractions are a condition; 0 for a network without it

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if isinstance(value, list):  # JSON has no tuples
                object.__setattr__(self, name, tuple(value))

    @property
    def stride(self) -> int:
        """Image sides must be multiples of this."""
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


@dataclass(frozen=True)
class Condition:
    """What (t, plane) contribute to a pass; batch 1 or B."""

    embedding: Tensor  # (1 or B, 4 dim), after its SiLU: feeds every scale and shift
    tokens: Tensor  # (1 or B, n, cond_dim): context of the attention layers

    @staticmethod
    def side_by_side(conditions: Sequence[Condition], images: int) -> Condition:
        """Of a batch that holds the same images once a condition, one block behind the other."""
        return Condition(
            torch.cat([c.embedding.expand(images, -1) for c in conditions]),
            torch.cat([c.tokens.expand(images, -1, -1) for c in conditions]),
        )


class FractionEmbedding(nn.Module):
    """Phase fractions (B, P), each from 0 to 1, to an embedding; those dropped get a learned null.

    The features are sines and cosines of pi f, 2 pi f, 4 pi f and 8 pi f: a change of a hundredth
    turns the last by a quarter of a radian, and nothing is fine enough to tell single images apart.
    """

    def __init__(self, phases: int, dim: int) -> None:
        super().__init__()
        self.phases = phases
        self.project = nn.Sequential(
            nn.Linear(8 * phases, dim), nn.SiLU(), nn.Linear(dim, dim, bias=False)
        )
        self.null = nn.Parameter(torch.zeros(dim))
        nn.init.zeros_(cast(nn.Linear, self.project[2]).weight)  # at first it says nothing

    def forward(self, fractions: Tensor | None, kept: Tensor | None = None) -> Tensor:
        """Embeddings (B, dim); without fractions, and where ``kept`` (B,) is False, the null."""
        if fractions is None:
            return self.null
        octave = 2.0 ** torch.arange(4, device=fractions.device)
        angle = (math.pi * fractions.float()[..., None] * octave).flatten(1)
        features = torch.cat((angle.sin(), angle.cos()), dim=1).to(self.null.dtype)
        embedding = self.project(features)
        return embedding if kept is None else torch.where(kept[:, None], embedding, self.null)


class Conv(nn.Conv2d):
    """3 x 3 (or k x k) convolution of unchanged size whose border can wrap.

    `periodic` = (rows, columns): a wrapped direction sees the opposite edge where it would see
    zeros.
    """

    def __init__(self, in_dim: int, out_dim: int, kernel: int) -> None:
        super().__init__(in_dim, out_dim, kernel, padding=kernel // 2)
        self.periodic = (False, False)  # of the instance: a new attribute would compile it again

    def forward(self, x: Tensor) -> Tensor:
        if not any(self.periodic) or self.kernel_size[0] == 1:
            return super().forward(x)
        p, (rows, columns) = self.kernel_size[0] // 2, self.periodic
        if rows:
            x = wrapped(x, 2, p)
        if columns:
            x = wrapped(x, 3, p)
        return F.conv2d(x, self.weight, self.bias, padding=(0 if rows else p, 0 if columns else p))


def wrapped(x: Tensor, axis: int, p: int) -> Tensor:
    """An axis continued by p pixels of its other end on both sides, perhaps several times around.

    `torch.nn.functional.pad` does it once around at most, and gives images that are channels last
    back in the other order, which every convolution then pays for.
    """
    n = x.shape[axis]
    if p <= n:
        return torch.cat((x.narrow(axis, n - p, p), x, x.narrow(axis, 0, p)), axis)
    turns = -(-p // n)
    return torch.cat((x,) * (2 * turns + 1), axis).narrow(axis, turns * n - p, n + 2 * p)


def group_norm(
    x: Tensor, norm: nn.GroupNorm, scale_shift: tuple[Tensor, Tensor] | None = None
) -> Tensor:
    """GroupNorm, then a scale and a shift (1 or B, C) from the condition: one affine map a channel.

    On a CPU torch normalizes channels-last images of less than 1024 pixels by strided sums of C /
    groups numbers, ten times slower than the sums over whole pixels written here.
    """
    b, c, h, w = x.shape
    scale, shift = (None, None) if scale_shift is None else scale_shift
    weight, bias = norm.weight, norm.bias
    if not x.is_cpu or h * w >= 1024 or not x.is_contiguous(memory_format=torch.channels_last):
        if scale is None or shift is None:
            return F.group_norm(x, norm.num_groups, weight, bias, norm.eps)
        if len(scale) == 1:  # the same for all images: a matter of the weights
            gain = scale[0] + 1
            scaled, shifted = (weight * gain).to(x.dtype), (bias * gain + shift[0]).to(x.dtype)
            return F.group_norm(x, norm.num_groups, scaled, shifted, norm.eps)
        x = F.group_norm(x, norm.num_groups, weight, bias, norm.eps)
        scale, shift = scale[..., None, None], shift[..., None, None]
        return torch.addcmul(shift.to(x.dtype), x, (scale + 1).to(x.dtype))
    grouped = (b, norm.num_groups, c // norm.num_groups)
    count = h * w * grouped[2]
    mean = x.sum((2, 3), dtype=torch.float32).view(grouped).sum(2, keepdim=True) / count
    square = (x * x).sum((2, 3), dtype=torch.float32).view(grouped).sum(2, keepdim=True) / count
    deviation = ((square - mean * mean).clamp(min=0) + norm.eps).rsqrt()
    gain = deviation * weight.float().view(grouped[1:])
    offset = bias.float().view(grouped[1:]) - mean * gain
    if scale is not None and shift is not None:
        factor = scale.float().view(-1, *grouped[1:]) + 1
        gain, offset = gain * factor, offset * factor + shift.float().view(-1, *grouped[1:])
    return torch.addcmul(offset.view(b, c, 1, 1).to(x.dtype), x, gain.view(b, c, 1, 1).to(x.dtype))


class Block(nn.Module):
    """GroupNorm, scale and shift, SiLU, 3 x 3 convolution."""

    def __init__(self, in_dim: int, out_dim: int, groups: int = 8) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, in_dim)
        self.conv = Conv(in_dim, out_dim, 3)

    def forward(self, x: Tensor, scale_shift: tuple[Tensor, Tensor] | None = None) -> Tensor:
        x = group_norm(x, self.norm, scale_shift)
        return self.conv(F.silu(x, inplace=not torch.is_grad_enabled()))


class GlobalContext(nn.Module):
    """Squeeze-excite gate whose pool is a soft-max over the pixels."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        hidden = max(3, dim // 2)
        self.to_weight = nn.Conv2d(dim, 1, 1)
        self.gate = nn.Sequential(
            nn.Conv2d(dim, hidden, 1), nn.SiLU(), nn.Conv2d(hidden, dim, 1), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        weight = self.to_weight(x).flatten(2).softmax(dim=-1)  # (B, 1, HW)
        pooled = torch.einsum("bin,bcn->bci", weight, x.flatten(2))
        return self.gate(pooled[..., None])


class ResnetBlock(nn.Module):
    """Two `Block`s around an optional cross-attention; the time enters the second."""

    def __init__(
        self,
        in_dim: int,
        out_dim: int,
        embedding_dim: int,
        *,
        cross: CrossAttention | None = None,
        global_context: bool = False,
    ) -> None:
        super().__init__()
        self.modulation = nn.Linear(embedding_dim, 2 * out_dim)
        self.block1 = Block(in_dim, out_dim)
        self.cross = cross
        self.block2 = Block(out_dim, out_dim)
        self.gate = GlobalContext(out_dim) if global_context else None
        self.residual = nn.Conv2d(in_dim, out_dim, 1) if in_dim != out_dim else nn.Identity()

    def forward(self, x: Tensor, cond: Condition) -> Tensor:
        scale, shift = self.modulation(cond.embedding).chunk(2, dim=1)
        h = self.block1(x)
        if self.cross is not None:
            h = h + self.cross(h, cond.tokens)
        h = self.block2(h, (scale, shift))
        if self.gate is not None:
            h = h * self.gate(h)
        return h + self.residual(x)


def _pixels(x: Tensor) -> Tensor:
    """(B, C, H, W) to (B, HW, C)."""
    return x.flatten(2).transpose(1, 2)


def _image(tokens: Tensor, like: Tensor) -> Tensor:
    """(B, HW, C) back to (B, C, H, W), channels last in memory."""
    b, _, h, w = like.shape
    return tokens.view(b, h, w, -1).permute(0, 3, 1, 2)


class _Attention(nn.Module):
    """Cosine-similarity attention with a learned null key and value.

    ``kv_heads`` is 1 for the multi-query self-attention, ``heads`` for the cross-attention.
    """

    def __init__(self, dim: int, heads: int, head_dim: int, kv_heads: int) -> None:
        super().__init__()
        self.heads, self.head_dim, self.kv_heads = heads, head_dim, kv_heads
        self.norm = nn.LayerNorm(dim)
        self.null_kv = nn.Parameter(torch.randn(2, head_dim))
        self.to_q = nn.Linear(dim, heads * head_dim, bias=False)
        self.q_scale = nn.Parameter(torch.ones(head_dim))
        self.k_scale = nn.Parameter(torch.ones(head_dim))
        self.to_out = nn.Sequential(nn.Linear(heads * head_dim, dim, bias=False), nn.LayerNorm(dim))

    def split(self, kv: Tensor) -> tuple[Tensor, Tensor]:
        """(B, n, 2 * kv_heads * head_dim) to keys and values (B, kv_heads, n, head_dim)."""
        b, n, _ = kv.shape
        k, v = kv.view(b, n, 2, self.kv_heads, self.head_dim).permute(2, 0, 3, 1, 4)
        return k, v

    def attend(self, x: Tensor, k: Tensor, v: Tensor) -> Tensor:
        b, n, _ = x.shape
        q = self.to_q(x).view(b, n, self.heads, self.head_dim).transpose(1, 2)
        null_k, null_v = self.null_kv.to(k.dtype).expand(b, self.kv_heads, 1, 2, -1).unbind(3)
        k = torch.cat((null_k, k.expand(b, -1, -1, -1)), dim=2)
        v = torch.cat((null_v, v.expand(b, -1, -1, -1)), dim=2)
        q = F.normalize(q, dim=-1) * self.q_scale.to(q.dtype)
        k = F.normalize(k, dim=-1) * self.k_scale.to(k.dtype)
        k = k.expand(b, self.heads, -1, -1)
        v = v.expand(b, self.heads, -1, -1)
        out = F.scaled_dot_product_attention(q, k, v.to(q.dtype), scale=8.0)
        return self.to_out(out.transpose(1, 2).flatten(2))


class SelfAttention(_Attention):
    """Multi-query self-attention; keys and values of the condition join those of the pixels."""

    def __init__(self, dim: int, heads: int, head_dim: int, cond_dim: int | None) -> None:
        super().__init__(dim, heads, head_dim, kv_heads=1)
        self.to_kv = nn.Linear(dim, 2 * head_dim, bias=False)
        self.context = (
            nn.Sequential(nn.LayerNorm(cond_dim), nn.Linear(cond_dim, 2 * head_dim))
            if cond_dim
            else None
        )

    def forward(self, image: Tensor, tokens: Tensor) -> Tensor:
        x = self.norm(_pixels(image))
        k, v = self.split(self.to_kv(x))
        if self.context is not None:
            ck, cv = self.split(self.context(tokens))
            k = torch.cat((ck.expand(k.shape[0], -1, -1, -1), k), dim=2)
            v = torch.cat((cv.expand(v.shape[0], -1, -1, -1), v), dim=2)
        return _image(self.attend(x, k, v), image)


class CrossAttention(_Attention):
    """Pixels ask, the condition's tokens answer."""

    def __init__(self, dim: int, heads: int, head_dim: int, cond_dim: int) -> None:
        super().__init__(dim, heads, head_dim, kv_heads=heads)
        self.to_kv = nn.Linear(cond_dim, 2 * heads * head_dim, bias=False)

    def forward(self, image: Tensor, tokens: Tensor) -> Tensor:
        k, v = self.split(self.to_kv(tokens))
        return _image(self.attend(self.norm(_pixels(image)), k, v), image)


class Transformer(nn.Module):
    """Self-attention and a two-layer feed-forward, each residual."""

    def __init__(self, dim: int, heads: int, head_dim: int, cond_dim: int | None) -> None:
        super().__init__()
        self.attention = SelfAttention(dim, heads, head_dim, cond_dim)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(dim),
            nn.Linear(dim, 2 * dim, bias=False),
            nn.GELU(),
            nn.LayerNorm(2 * dim),
            nn.Linear(2 * dim, dim, bias=False),
        )

    def forward(self, x: Tensor, cond: Condition) -> Tensor:
        x = x + self.attention(x, cond.tokens)
        return x + _image(self.feed_forward(_pixels(x)), x)


class Downsample(nn.Sequential):
    """Halve the image: pixel-unshuffle and a 1 x 1 convolution, done as one 2 x 2 of stride 2.

    The channels of an unshuffled image are (channel, row, column), so the weights only have to be
    read in another shape; an image need not be written in another order.
    """

    def __init__(self, in_dim: int, out_dim: int) -> None:
        super().__init__(nn.PixelUnshuffle(2), nn.Conv2d(4 * in_dim, out_dim, 1))

    def forward(self, x: Tensor) -> Tensor:
        conv = cast(nn.Conv2d, self[1])
        weight = conv.weight.view(conv.out_channels, -1, 2, 2)
        return F.conv2d(x, weight, conv.bias, stride=2)


class Upsample(nn.Sequential):
    """Double the image: 1 x 1 convolution, SiLU, pixel-shuffle."""

    def __init__(self, in_dim: int, out_dim: int) -> None:
        conv = nn.Conv2d(in_dim, 4 * out_dim, 1, bias=True)
        # The four sub-pixels start equal, so that no checkerboard has to be unlearnt.
        weight = torch.empty(out_dim, *conv.weight.shape[1:])
        nn.init.kaiming_uniform_(weight)
        with torch.no_grad():
            conv.weight.copy_(weight.repeat_interleave(4, dim=0))
            nn.init.zeros_(cast(Tensor, conv.bias))
        super().__init__(conv, nn.SiLU(), nn.PixelShuffle(2))


class _Widen(nn.Module):
    """The last level's change of width without a change of size: 3 x 3 plus 1 x 1 convolution."""

    def __init__(self, in_dim: int, out_dim: int) -> None:
        super().__init__()
        self.conv3, self.conv1 = Conv(in_dim, out_dim, 3), nn.Conv2d(in_dim, out_dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv3(x) + self.conv1(x)


class _Level(nn.Module):
    """Residual blocks, an optional transformer, and a resampling."""

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

        widths = [c.dim * m for m in c.multipliers]
        first = widths[0] if c.tapered else c.dim
        in_channels = c.channels * c.patch**2
        shares = [first // 2**i for i in range(1, len(c.stem))]
        shares.append(first - sum(shares))
        self.stem = nn.ModuleList(
            Conv(in_channels, n, k) for n, k in zip(shares, sorted(c.stem), strict=True)
        )

        def block(i: int, in_dim: int, out_dim: int, entry: bool) -> ResnetBlock:
            cross = entry and c.cross_attention[i]
            return ResnetBlock(
                in_dim,
                out_dim,
                embedding_dim,
                cross=CrossAttention(out_dim, c.heads, c.head_dim, c.cond_dim) if cross else None,
                global_context=c.global_context and not entry,
            )

        def attention(i: int, dim: int) -> Transformer | None:
            return Transformer(dim, c.heads, c.head_dim, c.cond_dim) if c.attention[i] else None

        self.downs, self.ups = nn.ModuleList(), nn.ModuleList()
        last, dim, skips = len(widths) - 1, first, []
        for i, out_dim in enumerate(widths):
            # A plain level works at its input's width and widens on the way down (the paper's);
            # a tapered one works at its own width.
            next_dim = widths[min(i + 1, last)] if c.tapered else out_dim
            blocks = [block(i, dim, dim, entry=j == 0) for j in range(c.blocks[i])]
            down: nn.Module
            if i < last:
                down = Downsample(dim, next_dim)
            else:
                down = nn.Identity() if c.tapered else _Widen(dim, next_dim)
            self.downs.append(_Level(blocks, attention(i, dim), down))
            skips.append(dim)
            dim = next_dim

        self.mid1 = block(last, dim, dim, entry=True)
        self.mid_attention = (
            Transformer(dim, c.heads, c.head_dim, None) if c.mid_attention else None
        )
        self.mid2 = block(last, dim, dim, entry=True)

        for i in reversed(range(len(widths))):
            skip = skips[i]
            own = dim
            blocks = [block(i, own + skip, own, entry=j == 0) for j in range(c.blocks[i])]
            next_dim = skips[i - 1] if c.tapered else skips[i]
            up = Upsample(own, next_dim) if i > 0 else nn.Identity()
            self.ups.append(_Level(blocks, attention(i, own), up))
            dim = next_dim if i > 0 else own

        self.final = (
            ResnetBlock(dim, c.dim, embedding_dim, global_context=c.global_context)
            if c.final_block
            else None
        )
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
        self.fraction = FractionEmbedding(c.fractions, embedding_dim) if c.fractions else None

    def condition(
        self,
        t: Tensor,
        plane: Tensor,
        fractions: Tensor | None = None,
        kept: Tensor | None = None,
    ) -> Condition:
        """Embed time steps ``t`` (B,), planes (B,) of 0, 1, 2 or `NO_PLANE`, and phase fractions.

        ``fractions`` (B, P) need a network that has them as a condition; None, and rows where
        ``kept`` (B,) is False, stand for "not given".
        """
        if fractions is not None and self.fraction is None:
            raise ValueError("`fractions` must be None for a network without a fraction condition")
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
        """Let every convolution wrap around the image's rows and/or columns."""
        for module in self.modules():
            if isinstance(module, Conv):
                module.periodic = (rows, columns)

    def forward(self, image: Tensor, cond: Condition) -> Tensor:
        c = self.config
        x = F.pixel_unshuffle(image, c.patch) if c.patch > 1 else image
        x = (
            torch.cat([conv(x) for conv in self.stem], dim=1)
            if len(self.stem) > 1
            else self.stem[0](x)
        )
        skips: list[Tensor] = []
        for level in cast(Iterable[_Level], self.downs):
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
        for level in cast(Iterable[_Level], self.ups):
            for block in level.blocks:
                x = block(torch.cat((x, skips.pop() * 2**-0.5), dim=1), cond)
            if level.attention is not None:
                x = level.attention(x, cond)
            x = level.resample(x)
        if self.final is not None:
            x = self.final(x, cond)
        if c.patch > 1:
            x = self.fine(torch.cat((self.unpatch(x), image), dim=1))
        return self.head(x)
