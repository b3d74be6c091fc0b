# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Layers of the U-Net: conditions, periodic convolutions, normalization, attention, resampling."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .. import ops

__all__ = [
    "Condition",
    "Conv",
    "CrossAttention",
    "Downsample",
    "FractionEmbedding",
    "ResnetBlock",
    "Transformer",
    "Upsample",
    "Widen",
    "conv_silu",
    "fuses",
    "group_norm",
    "joined",
    "pad_periodic",
    "pointwise",
    "upsampled",
]


@dataclass(frozen=True)
class Condition:
    """The embedding of (t, plane, fractions); batch 1 or B."""

    embedding: Tensor  # (1 or B, 4 dim), after its SiLU: input of every scale and shift
    tokens: Tensor  # (1 or B, n, cond_dim): context of the attention layers

    @staticmethod
    def side_by_side(conditions: Sequence[Condition], images: int) -> Condition:
        """Return the condition of a batch that repeats ``images`` images once per condition."""
        return Condition(
            torch.cat([c.embedding.expand(images, -1) for c in conditions]),
            torch.cat([c.tokens.expand(images, -1, -1) for c in conditions]),
        )


class FractionEmbedding(nn.Module):
    """Embedding of phase fractions (B, P), each from 0 to 1, with a learned null embedding.

    The features are sines and cosines of pi f, 2 pi f, 4 pi f and 8 pi f.  A change of f by 0.01
    changes the last angle by a quarter of a radian, too little to identify single images.
    """

    def __init__(self, phases: int, dim: int) -> None:
        super().__init__()
        self.project = nn.Sequential(
            nn.Linear(8 * phases, dim), nn.SiLU(), nn.Linear(dim, dim, bias=False)
        )
        self.null = nn.Parameter(torch.zeros(dim))
        nn.init.zeros_(cast(nn.Linear, self.project[2]).weight)  # no effect before training

    def forward(self, fractions: Tensor | None, kept: Tensor | None = None) -> Tensor:
        """Return embeddings (B, dim); the null for None and where ``kept`` (B,) is False."""
        if fractions is None:
            return self.null
        octave = 2.0 ** torch.arange(4, device=fractions.device)
        angle = (math.pi * fractions.float()[..., None] * octave).flatten(1)
        features = torch.cat((angle.sin(), angle.cos()), dim=1).to(self.null.dtype)
        embedding = self.project(features)
        return embedding if kept is None else torch.where(kept[:, None], embedding, self.null)


def fuses(x: Tensor) -> bool:
    """Whether layers on these images run as the fused operators: inference, uncompiled.

    Torch reads the images again for the scale, the SiLU and the bias of a convolution; on CUDA it
    also converts them to another layout and back for every GroupNorm.
    """
    return not torch.is_grad_enabled() and _has_operators(x) and _channels_last(x)


def _has_operators(x: Tensor) -> bool:
    """Whether native operators may replace layers on x: unless torch compiles them."""
    return (x.is_cuda or x.is_cpu) and not torch.compiler.is_compiling()


def _channels_last(x: Tensor) -> bool:
    return x.is_contiguous(memory_format=torch.channels_last)


class Conv(nn.Conv2d):
    """k x k convolution that keeps the image's size, with zero or periodic borders.

    ``periodic`` = (rows, columns): a periodic axis is padded with the opposite edge instead of
    zeros.
    """

    def __init__(self, in_dim: int, out_dim: int, kernel: int) -> None:
        super().__init__(in_dim, out_dim, kernel, padding=kernel // 2)
        self.periodic = (False, False)  # set here: a new attribute would cause a recompilation

    def forward(self, x: Tensor, with_bias: bool = True) -> Tensor:
        bias = self.bias if with_bias else None
        if not any(self.periodic) or self.kernel_size[0] == 1:
            return self._conv_forward(x, self.weight, bias)
        p, (rows, columns) = self.kernel_size[0] // 2, self.periodic
        if rows:
            x = pad_periodic(x, 2, p)
        if columns:
            x = pad_periodic(x, 3, p)
        return F.conv2d(x, self.weight, bias, padding=(0 if rows else p, 0 if columns else p))


def pointwise(x: Tensor, conv: nn.Conv2d) -> Tensor:
    """Apply a 1 x 1 convolution."""
    if not fuses(x):
        return conv(x)
    return F.linear(x.permute(0, 2, 3, 1), conv.weight.flatten(1), conv.bias).permute(0, 3, 1, 2)


def upsampled(x: Tensor, conv: nn.Conv2d, factor: int) -> Tensor:
    """Apply a 1 x 1 convolution, SiLU and a pixel-shuffle."""
    x = F.silu(pointwise(x, conv))
    if not fuses(x):
        return F.pixel_shuffle(x, factor)
    b, c, h, w = x.shape  # on CUDA torch's own leaves the channels-last layout
    parts = x.permute(0, 2, 3, 1).reshape(b, h, w, c // factor**2, factor, factor)
    image = parts.permute(0, 1, 4, 2, 5, 3).reshape(b, h * factor, w * factor, -1)
    return image.permute(0, 3, 1, 2)


def joined(a: Tensor, b: Tensor) -> Tensor:
    """Return the channels of both images; those of one channel leave torch no layout to keep."""
    if not fuses(a):
        return torch.cat((a, b), dim=1)
    return torch.cat((a.permute(0, 2, 3, 1), b.permute(0, 2, 3, 1)), dim=3).permute(0, 3, 1, 2)


def _bias(conv: nn.Conv2d) -> Tensor | None:
    """Return the bias for an operator, which takes no tensor with a gradient."""
    return None if conv.bias is None else conv.bias.detach()


def conv_silu(x: Tensor, conv: Conv) -> Tensor:
    """Apply a convolution and SiLU."""
    if not fuses(x):
        return F.silu(conv(x))
    h = conv(x, with_bias=False)
    return ops.channel_affine(h, bias=_bias(conv), silu=True, out=h)


def pad_periodic(x: Tensor, axis: int, p: int) -> Tensor:
    """Pad an axis of n pixels periodically by p pixels at both ends, also for p > n.

    `torch.nn.functional.pad` refuses p > n and returns channels-last images in the default memory
    format, which slows down every convolution after it.
    """
    n = x.shape[axis]
    if p <= n:
        return torch.cat((x.narrow(axis, n - p, p), x, x.narrow(axis, 0, p)), axis)
    turns = -(-p // n)
    return torch.cat((x,) * (2 * turns + 1), axis).narrow(axis, turns * n - p, n + 2 * p)


def group_norm(
    x: Tensor, norm: nn.GroupNorm, scale_shift: tuple[Tensor, Tensor] | None = None
) -> Tensor:
    """Apply GroupNorm, then a scale and a shift (1 or B, C): one affine map per channel."""
    weight, bias = norm.weight, norm.bias
    if scale_shift is None:
        return F.group_norm(x, norm.num_groups, weight, bias, norm.eps)
    scale, shift = scale_shift
    if len(scale) == 1:  # the same for all images: fold it into the weights
        gain = scale[0] + 1
        scaled, shifted = (weight * gain).to(x.dtype), (bias * gain + shift[0]).to(x.dtype)
        return F.group_norm(x, norm.num_groups, scaled, shifted, norm.eps)
    x = F.group_norm(x, norm.num_groups, weight, bias, norm.eps)
    scale, shift = scale[..., None, None], shift[..., None, None]
    return torch.addcmul(shift.to(x.dtype), x, (scale + 1).to(x.dtype))


class GroupNormSilu(torch.autograd.Function):
    """GroupNorm, scale and shift, SiLU, with gradients, on channels-last images."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        norm: nn.GroupNorm,
        weight: Tensor,
        bias: Tensor,
        scale: Tensor | None,
        shift: Tensor | None,
    ) -> Tensor:
        statistics = torch.empty(len(x), norm.num_groups, 2, device=x.device)
        scale, shift = (None if t is None else t.detach() for t in (scale, shift))
        out = norm_silu(x.detach(), norm, (scale, shift), statistics=statistics)
        ctx.save_for_backward(x, weight, bias, scale, shift, statistics)
        ctx.groups = norm.num_groups
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        saved: list[Any] = [None if t is None else t.detach() for t in ctx.saved_tensors]
        x, weight, bias, scale, shift, statistics = saved
        b, c = x.shape[:2]
        new = functools.partial(torch.empty, dtype=torch.float32, device=x.device)
        d_scale, d_shift = (None, None) if scale is None else (new(b, c), new(b, c))
        d_weight, d_bias = new(c), new(c)
        out = ops.group_norm_gradient(
            x,
            gradient.contiguous(memory_format=torch.channels_last),
            out=torch.empty_like(x),
            groups=ctx.groups,
            weight=weight,
            bias=bias,
            statistics=statistics,
            d_weight=d_weight,
            d_bias=d_bias,
            scale=scale,
            shift=shift,
            d_scale=d_scale,
            d_shift=d_shift,
            silu=True,
            partials=new(b * c * ops.GROUP_NORM_GRADIENT_PARTIALS),
        )
        if d_scale is not None and d_shift is not None:
            d_scale, d_shift = d_scale.to(scale.dtype), d_shift.to(shift.dtype)
        return out, None, d_weight.to(weight.dtype), d_bias.to(bias.dtype), d_scale, d_shift


def norm_silu(
    x: Tensor,
    norm: nn.GroupNorm,
    scale_shift: tuple[Tensor | None, Tensor | None] = (None, None),
    before: Tensor | None = None,
    statistics: Tensor | None = None,
) -> Tensor:
    """Apply GroupNorm to ``x + before``, scale, shift and SiLU by the fused operator."""
    return ops.group_norm(
        x,
        out=torch.empty_like(x),
        groups=norm.num_groups,
        weight=norm.weight.detach(),
        bias=norm.bias.detach(),
        epsilon=norm.eps,
        before=before,
        scale=scale_shift[0],
        shift=scale_shift[1],
        silu=True,
        statistics=statistics,
        partials=torch.empty(
            len(x) * norm.num_groups * ops.GROUP_NORM_PARTIALS,
            dtype=torch.float32,
            device=x.device,
        ),
    )


class Block(nn.Module):
    """GroupNorm, scale and shift, SiLU, 3 x 3 convolution."""

    def __init__(self, in_dim: int, out_dim: int, groups: int = 8) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, in_dim)
        self.conv = Conv(in_dim, out_dim, 3)

    def forward(self, x: Tensor, scale_shift: tuple[Tensor, Tensor] | None = None) -> Tensor:
        if torch.is_grad_enabled() and _has_operators(x) and _channels_last(x):
            scale, shift = scale_shift or (None, None)
            norm = self.norm
            h = cast(Tensor, GroupNormSilu.apply(x, norm, norm.weight, norm.bias, scale, shift))
            return self.conv(h)
        x = group_norm(x, self.norm, scale_shift)
        return self.conv(F.silu(x, inplace=not torch.is_grad_enabled()))

    def fused(
        self,
        x: Tensor,
        scale_shift: tuple[Tensor, Tensor] | tuple[None, None] = (None, None),
        before: Tensor | None = None,
    ) -> Tensor:
        """Return the same of ``x + before``, without the bias of the convolution."""
        return self.conv(norm_silu(x, self.norm, scale_shift, before), with_bias=False)


class GlobalContext(nn.Module):
    """Squeeze-excite gate that pools by a soft-max over the pixels."""

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
    """Two `Block`s around an optional cross-attention; the time modulates the second."""

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
        if fuses(x):
            return self._fused(x, (scale, shift), cond.tokens)
        h = self.block1(x)
        if self.cross is not None:
            h = h + self.cross(h, cond.tokens)
        h = self.block2(h, (scale, shift))
        if self.gate is not None:
            h = h * self.gate(h)
        return h + self.residual(x)

    def _fused(self, x: Tensor, scale_shift: tuple[Tensor, Tensor], tokens: Tensor) -> Tensor:
        """Return the same by the fused operators; each bias is added where h is read next."""
        h, bias = self.block1.fused(x), _bias(self.block1.conv)
        if self.cross is not None:
            h = ops.channel_affine(h, bias=bias, out=h)
            h, bias = h + self.cross(h, tokens), None
        h, bias = self.block2.fused(h, scale_shift, bias), _bias(self.block2.conv)
        gate = None
        if self.gate is not None:
            h = ops.channel_affine(h, bias=bias, out=h)
            gate, bias = self.gate(h).flatten(1), None
        residual = pointwise(x, self.residual) if isinstance(self.residual, nn.Conv2d) else x
        return ops.channel_affine(h, bias=bias, scale=gate, add=residual, out=h)


def _to_sequence(x: Tensor) -> Tensor:
    """Reshape (B, C, H, W) to (B, HW, C)."""
    return x.flatten(2).transpose(1, 2)


def _to_image(sequence: Tensor, like: Tensor) -> Tensor:
    """Reshape (B, HW, C) back to (B, C, H, W), channels last in memory."""
    b, _, h, w = like.shape
    return sequence.view(b, h, w, -1).permute(0, 3, 1, 2)


def _unit(x: Tensor, scale: Tensor) -> Tensor:
    """Return ``scale`` times the vectors of length 1 along the last axis."""
    if not torch.is_grad_enabled() and _has_operators(x):
        return ops.unit_rows(x, out=x, scale=scale.detach())
    return F.normalize(x, dim=-1) * scale.to(x.dtype)


class Attention(nn.Module):
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
        """Split (B, n, 2 * kv_heads * head_dim) into keys and values (B, kv_heads, n, head_dim)."""
        b, n, _ = kv.shape
        k, v = kv.view(b, n, 2, self.kv_heads, self.head_dim).permute(2, 0, 3, 1, 4)
        return k, v

    def attend(self, x: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attend from ``x`` (B, n, dim) to keys ``k`` and values ``v``, the null included."""
        b, n, _ = x.shape
        # Heads that share keys and values are further queries of one head, as they lie in memory.
        q = _unit(self.to_q(x).view(b, -1, self.kv_heads, self.head_dim), self.q_scale)
        null_k, null_v = self.null_kv.to(k.dtype).expand(b, self.kv_heads, 1, 2, -1).unbind(3)
        k = torch.cat((null_k, k.expand(b, -1, -1, -1)), dim=2)
        v = torch.cat((null_v, v.expand(b, -1, -1, -1)), dim=2)
        k = _unit(k, self.k_scale)
        out = F.scaled_dot_product_attention(q.transpose(1, 2), k, v.to(q.dtype), scale=8.0)
        return self.to_out(out.transpose(1, 2).reshape(b, n, -1))


class SelfAttention(Attention):
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
        x = self.norm(_to_sequence(image))
        k, v = self.split(self.to_kv(x))
        if self.context is not None:
            context_k, context_v = self.split(self.context(tokens))
            k = torch.cat((context_k.expand(k.shape[0], -1, -1, -1), k), dim=2)
            v = torch.cat((context_v.expand(v.shape[0], -1, -1, -1), v), dim=2)
        return _to_image(self.attend(x, k, v), image)


class CrossAttention(Attention):
    """Cross-attention: queries from the pixels, keys and values from the condition's tokens."""

    def __init__(self, dim: int, heads: int, head_dim: int, cond_dim: int) -> None:
        super().__init__(dim, heads, head_dim, kv_heads=heads)
        self.to_kv = nn.Linear(cond_dim, 2 * heads * head_dim, bias=False)

    def forward(self, image: Tensor, tokens: Tensor) -> Tensor:
        k, v = self.split(self.to_kv(tokens))
        return _to_image(self.attend(self.norm(_to_sequence(image)), k, v), image)


class Transformer(nn.Module):
    """Self-attention and a two-layer feed-forward network, each residual."""

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
        return x + _to_image(self.feed_forward(_to_sequence(x)), x)


class Downsample(nn.Sequential):
    """Halve the image: pixel-unshuffle and a 1 x 1 convolution, computed as one 2 x 2 of stride 2.

    The channels of an unshuffled image are (channel, row, column), so only the weights are viewed
    in another shape; the image is not rearranged.
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
        # The four sub-pixels start equal, which avoids a checkerboard pattern.
        weight = torch.empty(out_dim, *conv.weight.shape[1:])
        nn.init.kaiming_uniform_(weight)
        with torch.no_grad():
            conv.weight.copy_(weight.repeat_interleave(4, dim=0))
            nn.init.zeros_(cast(Tensor, conv.bias))
        super().__init__(conv, nn.SiLU(), nn.PixelShuffle(2))

    def forward(self, x: Tensor) -> Tensor:
        return upsampled(x, cast(nn.Conv2d, self[0]), 2)


class Widen(nn.Module):
    """Change the number of channels, not the size: a 3 x 3 plus a 1 x 1 convolution."""

    def __init__(self, in_dim: int, out_dim: int) -> None:
        super().__init__()
        self.conv3, self.conv1 = Conv(in_dim, out_dim, 3), nn.Conv2d(in_dim, out_dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv3(x) + self.conv1(x)
