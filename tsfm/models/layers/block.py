"""One transformer layer, normalised before its sub-layers or after them."""

from torch import nn

from tsfm.models.layers.attention import Angles, KeyValue, SelfAttention
from tsfm.models.layers.feed_forward import FeedForward, GatedFeedForward
from tsfm.shapes import Bool, Float, Tensor


class Block(nn.Module):
    """Attention, then a feed-forward network, each with a residual connection.

    Parameters
    ----------
    norm_first
        ``True`` normalises the input of each sub-layer (trains stably without long warm-up);
        ``False`` normalises after the residual sum, as Timer is published.
    gated
        Whether the feed-forward network has a gate (a third matrix).
    """

    def __init__(
        self,
        d_model: int,
        n_heads: int,
        d_ff: int,
        *,
        norm_first: bool,
        bias: bool,
        dropout: float,
        gated: bool = False,
    ) -> None:
        super().__init__()
        self.norm_first = norm_first
        self.attention = SelfAttention(d_model, n_heads, bias=bias, dropout=dropout)
        network = GatedFeedForward if gated else FeedForward
        self.feed_forward = network(d_model, d_ff, bias=bias, dropout=dropout)
        self.attention_norm = nn.LayerNorm(d_model, bias=bias)
        self.feed_forward_norm = nn.LayerNorm(d_model, bias=bias)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        x: Float[Tensor, "batch token d_model"],
        attend: Bool[Tensor, "batch 1 token key"],
        angles: Angles | None = None,
        past: KeyValue | None = None,
    ) -> tuple[Float[Tensor, "batch token d_model"], KeyValue]:
        """Return the tokens of the next layer, and this layer's keys and values."""
        if self.norm_first:
            mixed, present = self.attention(self.attention_norm(x), attend, angles, past)
            x = x + self.dropout(mixed)
            return x + self.dropout(self.feed_forward(self.feed_forward_norm(x))), present
        mixed, present = self.attention(x, attend, angles, past)
        x = self.attention_norm(x + self.dropout(mixed))
        return self.feed_forward_norm(x + self.dropout(self.feed_forward(x))), present
