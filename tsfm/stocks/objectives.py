"""What a network can learn from bars alone: which stock, which sector, what the hidden days cost.

Each task owns its head and runs on any `Encoder`, so on Timer as on SSPT. Stocks and their sectors
come with the batch, a `StockBatch`.

References
----------
Wang, Ma and Cohen (2025), arXiv 2506.16746, section 3.2: stock code classification, stock sector
classification and moving average prediction. `MovingAverageConfig` has the released form of the
third, which its own inputs nearly answer, and ours, which asks for days that cannot be seen.
"""

from typing import Any

import torch
from einops import repeat
from pydantic import ConfigDict, PositiveInt
from pydantic.dataclasses import dataclass
from torch import nn
from torch.nn import functional as F

from tsfm.errors import ConfigError
from tsfm.models.backbone import Encoder
from tsfm.models.heads import TokenSizes, token_inside
from tsfm.objectives.objective import OBJECTIVES, Loss, check_backbone
from tsfm.series.windows import WindowBatch
from tsfm.shapes import Bool, Float, Inside, Int, Observed, Tensor, Tokens, Values
from tsfm.stocks.panel import StockBatch


def pooled(tokens: Tokens, inside: Inside, patch_length: int) -> Float[Tensor, "batch d_model"]:
    """Return the mean over the tokens within the series, of all channels; zero without any."""
    counted = token_inside(inside, tokens.shape[2], patch_length)
    weight = repeat(counted, "batch token -> batch channel token 1", channel=tokens.shape[1])
    total = torch.where(weight, tokens, 0.0).sum((1, 2))
    return total / weight.to(tokens.dtype).sum((1, 2)).clamp(min=1)


def require_stocks(batch: WindowBatch, name: str) -> StockBatch:
    """Return the batch as one of stocks.

    Raises
    ------
    ConfigError
        When it is none.
    """
    if not isinstance(batch, StockBatch):
        raise ConfigError(
            f"objective {name!r} needs batches of stocks, got {type(batch).__name__}; set "
            "data.name='stocks'"
        )
    return batch


class HeadObjective(nn.Module):
    """An objective with a linear head on the mean token.

    The head starts at zero, from the mean of what it says, and so needs no generator.
    """

    requires = Encoder

    def __init__(self, backbone: Any, d_out: int) -> None:
        super().__init__()
        check_backbone(type(self).__name__, backbone, Encoder)
        sizes = TokenSizes.of(backbone)
        self.patch_length = sizes.patch_length
        self.head = nn.Linear(sizes.d_model, d_out)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def said(
        self, model: Any, values: Values, observed: Observed, inside: Inside
    ) -> Float[Tensor, "batch out"]:
        """Return what the head makes of each window."""
        tokens = model.encode(values, observed, inside)
        return self.head(pooled(tokens, inside, self.patch_length))


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class StockCodeConfig:
    """Options of `StockCode`.

    Parameters
    ----------
    n_stocks
        Of the panel; the default is the published NASDAQ universe.
    places
        Of the panel, ascending: the stocks that are told apart, where they are not all of it. Who
        is listed after training must not be known in it.
    """

    n_stocks: PositiveInt = 1026
    places: tuple[int, ...] | None = None


@OBJECTIVES.register("stock_code")
class StockCode(HeadObjective):
    """Cross entropy over which stock a window is of; ``accuracy`` is among the parts."""

    Config = StockCodeConfig

    def __init__(self, config: StockCodeConfig, backbone: Any) -> None:
        super().__init__(backbone, n_labels(config.n_stocks, config.places))
        self.config = config

    def forward(self, model: Any, batch: WindowBatch, generator: torch.Generator) -> Loss:  # noqa: ARG002
        """Return the mean over windows that show anything."""
        stocks = require_stocks(batch, "stock_code")
        said = self.said(model, batch.values, batch.observed, batch.inside)
        label, known = labelled(stocks.stock, self.config.places)
        counted = batch.observed.any(-1).any(-1) & known
        return class_loss(said, label, counted, name="n_stocks")


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class StockSectorConfig:
    """Options of `StockSector`.

    Parameters
    ----------
    n_sectors
        Of the panel; the default is that of the published NASDAQ universe.
    places
        Of those, ascending, which are told apart; see `StockCodeConfig`.
    balanced
        All sectors of a batch weigh alike; False as published, where large ones rule.
    """

    n_sectors: PositiveInt = 112
    places: tuple[int, ...] | None = None
    balanced: bool = True


@OBJECTIVES.register("stock_sector")
class StockSector(HeadObjective):
    """Cross entropy over the sector of a window's stock; unknown sectors do not count."""

    Config = StockSectorConfig

    def __init__(self, config: StockSectorConfig, backbone: Any) -> None:
        super().__init__(backbone, n_labels(config.n_sectors, config.places))
        self.config = config

    def forward(self, model: Any, batch: WindowBatch, generator: torch.Generator) -> Loss:  # noqa: ARG002
        """Return the mean over windows of known sectors."""
        stocks = require_stocks(batch, "stock_sector")
        said = self.said(model, batch.values, batch.observed, batch.inside)
        label, known = labelled(stocks.sector, self.config.places)
        counted = batch.observed.any(-1).any(-1) & known
        return class_loss(said, label, counted, name="n_sectors", balanced=self.config.balanced)


def n_labels(n_places: int, places: tuple[int, ...] | None) -> int:
    """Return how many labels there are."""
    return n_places if places is None else len(places)


def labelled(
    found: Int[Tensor, " batch"], places: tuple[int, ...] | None
) -> tuple[Int[Tensor, " batch"], Bool[Tensor, " batch"]]:
    """Return places as labels from 0, and which have one; an unknown sector, -1, has none.

    Examples
    --------
    >>> label, known = labelled(torch.tensor([2, 5, 7, 9, -1]), (2, 7))
    >>> label[known].tolist(), known.tolist()
    ([0, 1], [True, False, True, False, False])
    """
    if places is None:
        return found, found >= 0
    table = torch.tensor(places, device=found.device)
    label = torch.searchsorted(table, found).clamp(max=len(places) - 1)
    return label, table[label] == found


def class_loss(
    said: Float[Tensor, "batch label"],
    label: Int[Tensor, " batch"],
    counted: Bool[Tensor, " batch"],
    *,
    name: str,
    balanced: bool = False,
) -> Loss:
    """Return cross entropy and accuracy over the rows that count.

    The parts are ``accuracy``; ``commonest``, that of always saying the commonest label of the
    batch; and ``balanced_accuracy``, the mean over the labels of the batch, which is one in so many
    for whatever is always said.

    Parameters
    ----------
    name
        Of the option that says how many labels there are.
    balanced
        Each row weighs one over the rows of its label.

    Raises
    ------
    ConfigError
        When a label has no output.
    """
    n_outputs = said.shape[1]
    highest = int(torch.where(counted, label, -1).max()) if len(label) else -1
    if highest >= n_outputs:
        raise ConfigError(
            f"{name} must exceed every label of the panel, got {name}={n_outputs} and label "
            f"{highest}; raise it in objective.config"
        )
    safe = torch.where(counted, label, 0)
    weight = counted.to(said.dtype)
    right = ((said.argmax(-1) == label) & counted).to(said.dtype)
    of_label = torch.zeros(2, n_outputs, dtype=said.dtype, device=said.device)
    size, n_right = of_label.index_add(1, safe, torch.stack([weight, right]))
    if balanced:
        weight = weight / size[safe].clamp(min=1)
    loss = F.cross_entropy(said, safe, reduction="none")
    count = int(counted.sum())
    total = torch.where(counted, loss * weight, 0.0).sum() / weight.sum().clamp(min=1e-12)
    n_shown = (size > 0).sum().clamp(min=1)
    parts = {
        "accuracy": right.sum() / max(count, 1),
        "balanced_accuracy": (n_right / size.clamp(min=1)).sum() / n_shown,
        "commonest": size.max() / max(count, 1),
    }
    return Loss(total, count, {name: value.detach() for name, value in parts.items()})
