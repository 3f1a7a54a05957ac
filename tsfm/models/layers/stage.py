"""One resolution of a hierarchy: pooled patches, embedded, through causal blocks."""

import torch
from einops import rearrange
from torch import nn

from tsfm.models.layers.attention import KeyValue
from tsfm.models.layers.block import Block
from tsfm.models.layers.feed_forward import ResidualMLP
from tsfm.models.layers.places import Places
from tsfm.models.layers.pooling import Pooling, pool_patches
from tsfm.shapes import Float, Patches, PatchMask, Tensor, Tokens


class Stage(nn.Module):
    """Tokens of a series at one resolution.

    Parameters
    ----------
    patch_length
        Steps per token; the stage reads ``patch_length / pool`` points of them.
    is_linear
        Whether the embedding is a plain matrix that sees the points only, as GPHT is published;
        else it also sees which points are missing and how the scale moved.
    """

    def __init__(
        self,
        patch_length: int,
        pool: int,
        d_model: int,
        n_heads: int,
        d_ff: int,
        *,
        n_layers: int,
        pooling: Pooling,
        is_linear: bool,
        norm_first: bool,
        bias: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        self.pool, self.pooling, self.is_linear = pool, pooling, is_linear
        n_points = patch_length // pool
        if is_linear:
            self.embedding: nn.Module = nn.Linear(n_points, d_model, bias=False)
        else:
            self.embedding = ResidualMLP(2 * n_points + 2, 2 * d_model, d_model)
        self.blocks = nn.ModuleList(
            Block(d_model, n_heads, d_ff, norm_first=norm_first, bias=bias, dropout=dropout)
            for _ in range(n_layers)
        )
        self.norm = nn.LayerNorm(d_model, bias=bias)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        patches: Patches,
        observed: PatchMask,
        moved: Float[Tensor, "batch channel token 2"],
        places: Places,
        past: list[KeyValue] | None = None,
    ) -> tuple[Tokens, list[KeyValue]]:
        """Return the tokens of this stage, and the keys and values of its layers.

        `moved` is how far location and scale moved with each token.
        """
        features, seen = pool_patches(patches, observed, self.pool, self.pooling)
        if not self.is_linear:
            features = torch.cat([features, seen.to(features.dtype), moved], -1)
        x = rearrange(self.embedding(features), "batch channel token d -> (batch channel) token d")
        x = self.dropout(x if places.code is None else x + places.code)
        layers = []
        for index, block in enumerate(self.blocks):
            x, present = block(x, places.attend, places.angles, past[index] if past else None)
            layers.append(present)
        tokens = rearrange(
            self.norm(x), "(batch channel) token d -> batch channel token d", batch=len(patches)
        )
        return tokens, layers
