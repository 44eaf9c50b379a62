"""Dropout of transformers at less cost on CPUs; what is drawn there is all that differs.

torch's fused attention takes no dropout on a CPU: with it, all weights are made in float32, drawn
for one by one and kept, which for long texts is most of a training step. Here 16 random bits say
what stays, and attention is computed some heads at a time, as many as a core's cache holds, in the
type that it is given. Draws come from torch's default generator, as before.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

ATTENTION = "mixtext"  # as transformers names ways to compute attention
CACHED = 2**18  # attention weights at a time


def draw_kept(shape: torch.Size, p: float) -> Tensor:
    """What stays, True with probability 1 − p to within 2⁻¹⁶."""
    total = math.prod(shape)
    bits = torch.empty((total + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
    return (bits.view(torch.int16)[:total] >= round(p * 2**16) - 2**15).view(shape)


class _Drop(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, p: float) -> Tensor:
        kept = draw_kept(x.shape, p)
        ctx.save_for_backward(kept)
        ctx.p = p
        return (x * kept).div_(1 - p)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (kept,) = ctx.saved_tensors
        return (gradient * kept).div_(1 - ctx.p), None


class Dropout(nn.Dropout):
    """As torch's, in less than half the time on a CPU."""

    def forward(self, x: Tensor) -> Tensor:
        """Zeros with probability p while training; the rest scaled by 1 / (1 − p)."""
        if not self.training or not 0 < self.p < 1 or x.device.type != "cpu":
            return super().forward(x)
        dropped: Tensor = _Drop.apply(x, self.p)
        return dropped


class _Attend(torch.autograd.Function):
    """softmax(scale·q·kᵀ + bias), dropped, times v; all (N, T, d), bias (B, 1 or T, T) or None."""

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, p: float, scale: float
    ) -> Tensor:
        n, length, _ = q.shape
        kept = draw_kept(torch.Size((n, length, length)), p)
        weights = q.new_empty(n, length, length)
        out = torch.empty_like(v)
        for part in _parts(n, length):
            scores = torch.bmm(q[part], k[part].mT).mul_(scale)
            if bias is not None:
                heads = n // len(bias)
                scores += bias[torch.arange(part.start, min(part.stop, n)) // heads]
            torch.softmax(scores, -1, out=weights[part])
            torch.bmm(weights[part] * kept[part], v[part], out=out[part])
        ctx.save_for_backward(q, k, v, weights, kept)
        ctx.p, ctx.scale = p, scale
        return out.div_(1 - p)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, weights, kept = ctx.saved_tensors
        of_out = gradient.to(q.dtype) / (1 - ctx.p)
        of_q, of_k, of_v = torch.empty_like(q), torch.empty_like(k), torch.empty_like(v)
        with torch.autocast("cpu", enabled=False):
            for part in _parts(*weights.shape[:2]):
                torch.bmm((weights[part] * kept[part]).mT, of_out[part], out=of_v[part])
                change = torch.bmm(of_out[part], v[part].mT).mul_(kept[part])
                change = torch._softmax_backward_data(change, weights[part], -1, q.dtype)
                change *= ctx.scale
                torch.bmm(change, k[part], out=of_q[part])
                torch.bmm(change.mT, q[part], out=of_k[part])
        return of_q, of_k, of_v, None, None, None


def _parts(n: int, length: int) -> list[slice]:
    size = max(1, CACHED // length**2)
    return [slice(start, start + size) for start in range(0, n, size)]


def attend(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, p: float, scale: float | None = None
) -> Tensor:
    """Attention whose weights are dropped with probability p, in (0, 1), on a CPU.

    Args:
        q: `(B, heads, T, d)`, as are k and v; under autocast computed in its type.
        k: keys.
        v: values.
        mask: boolean, True where to look, or added to the scores; `(B or 1, 1, 1 or T, T)`.
        p: what is drawn for each weight; those that stay are scaled by 1 / (1 − p).
        scale: of the scores; None: 1 / √d.
    """
    rows, heads, length, width = q.shape
    dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else q.dtype
    flat = [x.to(dtype).reshape(rows * heads, length, width) for x in (q, k, v)]
    bias = blind = None
    if mask is not None and mask.dtype == torch.bool:
        bias = torch.zeros(mask.shape, dtype=dtype).masked_fill_(~mask, torch.finfo(dtype).min)
        blind = ~mask.any(-1, keepdim=True)  # where nothing is to be seen, nothing comes out
    elif mask is not None:
        bias = mask.to(dtype)
    with torch.autocast("cpu", enabled=False):
        if bias is not None:
            bias = bias[:, 0].expand(rows, -1, -1)
        scale = width**-0.5 if scale is None else scale
        out: Tensor = _Attend.apply(*flat, bias, p, scale)
        out = out.view(rows, heads, length, width)
        return out if blind is None or not blind.any() else out.masked_fill(blind, 0)


def _attention_forward(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **more: Any,
) -> tuple[Tensor, None]:
    """`attend` as transformers calls it; torch's own attention where that does not apply."""
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    same = query.shape == key.shape == value.shape
    plain = attention_mask is None or (attention_mask.ndim == 4 and attention_mask.shape[1] == 1)
    causal = more.get("is_causal")
    if causal is None:
        causal = getattr(module, "is_causal", True)
    others = any(more.get(name) is not None for name in ("position_bias", "softcap", "cache"))
    others |= bool(causal) and attention_mask is None
    if others or not (0 < dropout < 1 and query.device.type == "cpu" and same and plain):
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout, scaling, **more
        )
    out = attend(query, key, value, attention_mask, dropout, scaling)
    return out.transpose(1, 2).contiguous(), None


def hasten(model: nn.Module) -> None:
    """Lets a transformer of Hugging Face drop in these ways; weights and files stay as they are.

    Attention of families that compute their own (DeBERTa, MPNet), or that was chosen otherwise than
    as sdpa, stays too.
    """
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if type(child) is nn.Dropout:
                setattr(parent, name, Dropout(child.p).train(child.training))
    config: Any = model.config
    if config._attn_implementation == "sdpa":
        register()
        config._attn_implementation = ATTENTION


def register() -> None:
    """Tells transformers of this attention; a pickled model needs it in its new process."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(ATTENTION, _attention_forward)
    AttentionMaskInterface.register(ATTENTION, sdpa_mask)
