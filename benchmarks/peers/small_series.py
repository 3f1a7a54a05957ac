"""The small series of statsmodels, and what a pool must leave out so that they are unseen.

    python benchmarks/peers/small_series.py small.parquet
    tsfm data build … --apart-from benchmark,held_out,small.parquet

The file has the series themselves and those series of our sets that tell the same, or what a
benchmark tells, at another rate or in another revision, such as sunspots by the month: hashes of
windows do not find those.
"""

import sys
from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from tsfm.series.card_series import read_series
from tsfm.series.cards import find_file, load_card

# Season of the data sets of statsmodels; the sun's is eleven years.
SMALL = {"co2": 52, "sunspots": 11, "nile": 1, "elnino": 12, "macrodata": 4}
# What `tsfm audit overlap --near …` finds in the sets for pre-training, and what has a correlation
# of 0.955 or more with a small series in its changes over some 40 steps.
NEAR_COPIES: Mapping[str, Sequence[str]] = {
    "daily_mix": ["mauna_loa_co2"],
    "exchange_rates_monthly": ["Canada", "Japan", "Switzerland"],
    "gapminder_indicators": [
        f"{group}_unemployment_rate_percent|usa"
        for age in ("aged_15_24", "aged_15plus", "aged_25_54", "aged_55_64")
        for group in (age, f"females_{age}", f"males_{age}")
    ],
    "r_textbook_series": [
        "astsa|GDP", "astsa|GNP", "astsa|UnempRate", "astsa|econ5|consum", "astsa|econ5|gnp",
        "astsa|econ5|prinv", "astsa|gdp", "astsa|gnp", "astsa|prodn", "astsa|qintr", "astsa|unemp",
        "expsmooth|bonds", "expsmooth|gasprice|SpotPrice", "expsmooth|mcopper", "expsmooth|usgdp",
        "expsmooth|visitors", "tswge|airlog", "tswge|eco.cd6", "tswge|eco.corp.bond",
        "tswge|eco.mort30", "tswge|sunspot.classic", "tswge|wtcrude", "tswge|wtcrude2020",
    ],
    "tsdl": [
        "tsdl_020_1", "tsdl_062_1", "tsdl_102_1", "tsdl_113_1", "tsdl_151_1", "tsdl_157_1",
        "tsdl_170_1", "tsdl_193_1", "tsdl_195_1", "tsdl_322_1", "tsdl_323_1", "tsdl_375_1",
        "tsdl_436_1", "tsdl_515_1", "tsdl_568_1", "tsdl_619_1",
    ],
}  # fmt: skip


def small_series() -> dict[str, list[np.ndarray]]:
    """Return the columns of the data sets of statsmodels by name."""
    from statsmodels import datasets

    found: dict[str, list[np.ndarray]] = {}
    for name in SMALL:
        frame = getattr(datasets, name).load_pandas().data
        values = frame.drop(columns=["year", "quarter", "YEAR"], errors="ignore").to_numpy(float)
        # The twelve columns of elnino are months.
        found[name] = [values.ravel()] if name == "elnino" else list(values.T)
    return found


def near_copies() -> dict[str, list[np.ndarray]]:
    """Return the series of our sets that a pool must leave out too, of the files that are here."""
    return {
        name: [values for item, values in read_series(load_card(name)) if item in items]
        for name, items in NEAR_COPIES.items()
        if find_file(load_card(name))
    }


def main(output: str) -> None:
    """Write all of them to a Parquet file of single series."""
    series = [
        pl.DataFrame({"item_id": f"{name}_{i}", "timestamp": range(len(one)), "target": one})
        for name, several in {**small_series(), **near_copies()}.items()
        for i, one in enumerate(several)
    ]
    pl.concat(series).write_parquet(output)
    print(f"{output}: {len(series)} series")


if __name__ == "__main__":
    main(*sys.argv[1:])
