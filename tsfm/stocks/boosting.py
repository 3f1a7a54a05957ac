"""Boosted trees on the features of a window: the rival that is strong on tables."""

from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

import numpy as np

from tsfm.errors import UnsupportedError
from tsfm.shapes import Float64, Int, ndarray
from tsfm.stocks.cross_sections import CrossSections
from tsfm.stocks.metrics import information_coefficient, mean_of
from tsfm.stocks.rivals import known_returns, window_inputs

# Trees see so many windows at most, spread over all training days; returns are mostly noise, and
# more windows take longer than the network itself.
MOST_WINDOWS = 60_000
N_TREES = 60
N_LEAVES, FEWEST_IN_LEAF, LEARNING_RATE = 15, 200, 0.05
Boosting = Literal["scikit-learn", "lightgbm"]
# Days on which the number of trees is chosen, spread over the validation part.
DAYS_ASKED = 32


@dataclass(frozen=True)
class BoostedRanker:
    """Gradient-boosted trees from the features of a window to the forward return.

    They see exactly what the network sees, leaks included.
    """

    model: Any
    n_trees: int

    @classmethod
    def fit(
        cls,
        sections: CrossSections,
        train: Int[ndarray, " train_day"],
        validation: Int[ndarray, " validation_day"],
        *,
        generator: np.random.Generator,
        library: Boosting = "scikit-learn",
    ) -> "BoostedRanker":
        """Fit on training days; so many trees have the best information coefficient in validation.

        Parameters
        ----------
        generator
            Draws the windows, equally many per day.
        library
            Both grow the same number of trees of the same size; their ways of finding splits
            differ.

        Raises
        ------
        UnsupportedError
            When the library is not installed.
        """
        inputs, returns = [], []
        per_day = -(-MOST_WINDOWS // len(train))
        for day in train:
            stocks = np.flatnonzero(known_returns(sections, int(day)))
            if len(stocks) > per_day:
                stocks = np.sort(generator.choice(stocks, per_day, replace=False))
            inputs.append(window_inputs(sections, int(day), stocks))
            returns.append(sections.forward_returns[day, stocks])
        # Returns of a day differ less from each other than days do; only the former can be ranked.
        target = np.concatenate([one - one.mean() if len(one) else one for one in returns])
        model = _trees(library, int(generator.integers(2**31)))
        model.fit(np.concatenate(inputs), target)
        return cls(model, _best_number(model, sections, validation))

    def predict(
        self, sections: CrossSections, days: Int[ndarray, " asked"]
    ) -> Float64[ndarray, "day stock"]:
        """Return scores on `days`, NaN elsewhere."""
        scores = np.full(sections.eligible.shape, np.nan)
        for day in days:
            stocks = np.flatnonzero(sections.eligible[day])
            if len(stocks):
                scores[day, stocks] = _staged(self.model, sections, int(day), stocks, self.n_trees)[
                    -1
                ]
        return scores


def _best_number(
    model: Any, sections: CrossSections, validation: Int[ndarray, " validation_day"]
) -> int:
    places = np.linspace(0, len(validation) - 1, min(DAYS_ASKED, len(validation)))
    asked = validation[places.astype(np.int64)]
    scores = np.full((N_TREES, len(asked), sections.panel.n_stocks), np.nan)
    for row, day in enumerate(asked):
        stocks = np.flatnonzero(sections.eligible[day])
        if len(stocks):
            scores[:, row, stocks] = _staged(model, sections, int(day), stocks, N_TREES)
    returns, tradable = sections.forward_returns[asked], sections.panel.tradable[asked]
    found = [mean_of(information_coefficient(one, returns, tradable)) for one in scores]
    return 1 + int(np.argmax(np.nan_to_num(found, nan=-np.inf)))


def _staged(
    model: Any, sections: CrossSections, day: int, stocks: Int[ndarray, " row"], n_trees: int
) -> Float64[ndarray, "tree row"]:
    """Return what the first tree says, the first two, and so on up to `n_trees`."""
    inputs = window_inputs(sections, day, stocks)
    if hasattr(model, "staged_predict"):
        return np.stack(list(islice(model.staged_predict(inputs), n_trees)))
    counts = range(1, n_trees + 1)
    return np.stack([model.booster_.predict(inputs, num_iteration=count) for count in counts])


def _trees(library: Boosting, seed: int) -> Any:
    """Return trees that have learned nothing yet."""
    if library == "scikit-learn":
        from sklearn.ensemble import HistGradientBoostingRegressor

        return HistGradientBoostingRegressor(
            learning_rate=LEARNING_RATE,
            max_iter=N_TREES,
            max_leaf_nodes=N_LEAVES,
            min_samples_leaf=FEWEST_IN_LEAF,
            l2_regularization=1.0,
            early_stopping=False,
            random_state=seed,
        )
    try:
        from lightgbm import LGBMRegressor
    except ImportError as error:
        raise UnsupportedError(
            "boosting='lightgbm' needs LightGBM, got none; pip install 'tsfm-kit[finance]', or "
            "use 'scikit-learn'"
        ) from error
    return LGBMRegressor(
        learning_rate=LEARNING_RATE,
        n_estimators=N_TREES,
        num_leaves=N_LEAVES,
        min_child_samples=FEWEST_IN_LEAF,
        reg_lambda=1.0,
        random_state=seed,
        n_jobs=1,
        deterministic=True,
        force_col_wise=True,
        verbose=-1,
    )
