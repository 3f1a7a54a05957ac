# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # The synthetic prior
#
# Half of what `tsfm-small` learned from was made, not measured. This notebook draws what is made:
# every family, every change to a clean series, and the mixture that training reads. The same series
# come in files from `tsfm data synth`.

# %%
import os

import numpy as np
from plotly.subplots import make_subplots

from tsfm.synthetic import augment
from tsfm.synthetic.draws import standardized
from tsfm.synthetic.mixture import FAMILIES, SHARES, SyntheticMixture

# Sizes; small ones when the notebook is only checked.
SMALL = "TSFM_NOTEBOOK_SMALL" in os.environ
N_SERIES, LENGTH = (2, 64) if SMALL else (4, 512)
SEED = 0


# %%
def gallery(rows_of: dict[str, np.ndarray], *, height: int = 130):
    """Draw one row of small plots per name."""
    n_columns = max(map(len, rows_of.values()))
    titles = [name if n == 0 else "" for name in rows_of for n in range(n_columns)]
    figure = make_subplots(len(rows_of), n_columns, subplot_titles=titles)
    for row, series in enumerate(rows_of.values(), 1):
        for column, values in enumerate(series, 1):
            figure.add_scatter(y=values, line={"width": 1}, row=row, col=column)
    figure.update_xaxes(showticklabels=False).update_yaxes(showticklabels=False)
    return figure.update_layout(height=height * len(rows_of) + 80, showlegend=False)


# %% [markdown]
# ## Families
#
# Each is one file in `tsfm/synthetic/`, with its source. The share is how often the prior takes it
# for the main part of a series; families with share 0 are drawn when a recipe names them.

# %%
families = gallery(
    {
        f"{name} ({SHARES[name]:.0%})": family(np.random.default_rng(SEED), N_SERIES, LENGTH)
        for name, family in FAMILIES.items()
    }
)
families

# %% [markdown]
# ## Augmentations
#
# The same clean series first, and then after every change.

# %%
CHANGES = (
    augment.amplitude_modulated,
    augment.time_warped,
    augment.spikes,
    augment.level_shifted,
    augment.censored,
    augment.quantised,
    augment.rounded,
    augment.missing_stretches,
)
SHARED = (augment.mixed_up, augment.sign_flipped, augment.time_reversed)

clean = standardized(FAMILIES["calendar_effects"](np.random.default_rng(SEED), N_SERIES, LENGTH))
changed = {change.__name__: change(np.random.default_rng(SEED), clean) for change in CHANGES}
changed |= {change.__name__: change(np.random.default_rng(SEED), clean, 1.0) for change in SHARED}
augmentations = gallery({"clean": clean} | changed)
augmentations

# %% [markdown]
# ## The mixture
#
# A main part, sometimes one or two more, noise, and disturbances.

# %%
mixture = SyntheticMixture(length=LENGTH, missing_share=0.2)
drawn = mixture.sample(6 * N_SERIES, np.random.default_rng(SEED))
samples = gallery({f"draw {n + 1}": part for n, part in enumerate(np.split(drawn, 6))})
samples
