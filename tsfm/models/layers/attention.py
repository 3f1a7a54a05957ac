"""Self-attention over the tokens of one series, with an optional key-value cache."""

from typing import NamedTuple

import torch
from einops import rearrange
from torch import nn
from torch.nn import functional as F

from tsfm.models.layers.positions import rotate
from tsfm.shapes import Bool, Float, Tensor

Angles = tuple[Float[Tensor, "token d_head"], Float[Tensor, "token d_head"]]


class KeyValue(NamedTuple):
    """Keys and values of earlier tokens of one layer."""

    key: Float[Tensor, "batch head token d_head"]
    value: Float[Tensor, "batch head token d_head"]


class SelfAttention(nn.Module):
    """Multi-head self-attention.

    Parameters
    ----------
    d_model, n_heads
        Width, and the number of heads that share it.
    bias
        Whether the four projections have biases (they do in Timer as published).
    dropout
        Share of attention weights dropped in training.
    """

    def __init__(self, d_model: int, n_heads: int, *, bias: bool, dropout: float) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.dropout = dropout
        self.qkv = nn.Linear(d_model, 3 * d_model, bias=bias)
        self.output = nn.Linear(d_model, d_model, bias=bias)

    def forward(
        self,
        x: Float[Tensor, "batch token d_model"],
        attend: Bool[Tensor, "batch 1 token key"] | None,
        angles: Angles | None = None,
        past: KeyValue | None = None,
    ) -> tuple[Float[Tensor, "batch token d_model"], KeyValue]:
        """Attend where `attend` is True, None for everywhere; keys of `past` come before `x`."""
        query, key, value = rearrange(
            self.qkv(x),
            "batch token (part head d_head) -> part batch head token d_head",
            part=3,
            head=self.n_heads,
        )
        if angles is not None:
            query, key = rotate(query, angles), rotate(key, angles)
        if past is not None:
            key = torch.cat([past.key, key], -2)
            value = torch.cat([past.value, value], -2)
        mixed = F.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=attend,
            dropout_p=self.dropout if self.training else 0.0,
        )
        joined = rearrange(mixed, "batch head token d_head -> batch token (head d_head)")
        return self.output(joined), KeyValue(key, value)
