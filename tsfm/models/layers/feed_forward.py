"""Position-wise networks."""

from torch import nn
from torch.nn import functional as F

from tsfm.shapes import Float, Tensor


class FeedForward(nn.Module):
    """Two linear maps with a GELU between them."""

    def __init__(self, d_model: int, d_ff: int, *, bias: bool, dropout: float) -> None:
        super().__init__()
        self.expand = nn.Linear(d_model, d_ff, bias=bias)
        self.contract = nn.Linear(d_ff, d_model, bias=bias)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Float[Tensor, "*axes d_model"]) -> Float[Tensor, "*axes d_model"]:
        """Map every token by itself."""
        return self.contract(self.dropout(F.gelu(self.expand(x))))


class GatedFeedForward(nn.Module):
    """Two linear maps, and a third one through a SiLU that weighs what lies between them.

    References
    ----------
    Shazeer (2020), "GLU Variants Improve Transformer".
    """

    def __init__(self, d_model: int, d_ff: int, *, bias: bool, dropout: float) -> None:
        super().__init__()
        self.gate = nn.Linear(d_model, d_ff, bias=bias)
        self.expand = nn.Linear(d_model, d_ff, bias=bias)
        self.contract = nn.Linear(d_ff, d_model, bias=bias)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Float[Tensor, "*axes d_model"]) -> Float[Tensor, "*axes d_model"]:
        """Map every token by itself."""
        return self.contract(self.dropout(F.silu(self.gate(x)) * self.expand(x)))


class ResidualMLP(nn.Module):
    """A linear map plus a hidden-layer correction, for embeddings and heads.

    References
    ----------
    The residual block of TiDE (Das et al., 2023) without its layer norm.
    """

    def __init__(self, d_in: int, d_hidden: int, d_out: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(d_in, d_hidden)
        self.correction = nn.Linear(d_hidden, d_out, bias=False)
        self.skip = nn.Linear(d_in, d_out)

    def forward(self, x: Float[Tensor, "*axes d_in"]) -> Float[Tensor, "*axes d_out"]:
        """Map every token by itself."""
        return self.skip(x) + self.correction(F.silu(self.hidden(x)))
