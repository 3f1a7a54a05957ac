"""What the table in sspt.py means, in words that its own scores decide."""

import numpy as np
import polars as pl
from sspt_rows import (
    CONTROL,
    LOOK_AHEAD,
    NAMES,
    OF_FUTURE,
    OF_PRETEXT,
    OF_SCORES,
    dataset_name,
)
from tables import published, standard_error

# Trading days of the test and of a year: the error of a yearly Sharpe ratio without any edge.
SHARPE_ERROR = (252 / 237) ** 0.5
NOTES = (
    """Wang, Ma and Cohen, KDD 2025 (arXiv 2506.16746). No table of that paper could be read, so the
published rows are those of StockMixer (AAAI 2024, its table and its evaluation code) on the same
files. All of them divide prices by their maximum over the whole period, test included: they stand
beside our faithful mode, never beside the corrected one. Their "rank IC" is the mean of daily ICs
over their deviation, here ICIR; their Sharpe ratio is that of the 5 best, without costs.""",
    f"""**{LOOK_AHEAD}**: as released, for comparison only. Every price is divided by the maximum of
all days, the universe is that of the file, the ranking loss is the released one, and stocks are
bought at the close that the score has seen. **corrected**: log prices relative to the last close of
the window, a universe by trailing bars, pairs compared with the truth, bought at the next open.""",
    """Smaller than published, for two cores: 64 wide instead of 128, windows of 16 days instead of
32, one epoch of 128 random stocks a day for pre-training and one for ranking, of NYSE and in
faithful mode half an epoch each; published: 100 and 50 epochs of all stocks. So short a faithful
pre-training has a schedule and lets sectors weigh alike, which the release does not; its ranker
trains on the validation days too, as released, so what its pretext tasks learned is asked on test
days. Mean over seeds ± its standard error; costs in basis points of all that is bought or sold.
Seconds are those of training one seed, beside other work on the same two cores.""",
)


def verdict(frame: pl.DataFrame, ours: str) -> list[str]:
    """Return the verdict, a paragraph per question that the scores can answer."""
    found = ["## Verdict"]
    for panel in NAMES:
        found += _of_faithful(frame, panel, ours)
        found += _of_corrected(frame, panel, ours)
    found += _of_control(frame, ours)
    found.append(
        f"A Sharpe ratio over 237 days has a standard error of {SHARPE_ERROR:.1f} by itself, so "
        f"that of a difference of two is up to {SHARPE_ERROR * 2**0.5:.1f}: whatever differs by "
        "less than 2 between rows, published ones included, is not known to differ."
    )
    return found


def values(frame: pl.DataFrame, dataset: str, metric: str, setting: str, model: str) -> np.ndarray:
    """Return the values of a cell, by seed."""
    part = frame.filter(dataset=dataset, metric=metric, setting=setting, model=model)
    return part.sort("seed")["value"].to_numpy()


def spread(found: np.ndarray, digits: int = 4) -> str:
    """Return a mean with its standard error, when there is one."""
    error = standard_error(found)
    text = f"{found.mean():.{digits}f}"
    return text + (f" ± {error:.{digits}f}" if np.isfinite(error) else "")


def _of_faithful(frame: pl.DataFrame, panel: str, ours: str) -> list[str]:
    dataset = dataset_name(panel, "faithful")
    ic = values(frame, dataset, OF_SCORES, "IC", ours)
    if not len(ic):
        return []
    text = f"**{dataset}.** IC {spread(ic)} over {len(ic)} seeds ({ic.min():.4f} to {ic.max():.4f})"
    theirs = published("sspt").filter(dataset=dataset, metric=OF_SCORES, setting="IC")["value"]
    if len(theirs):
        low, high = float(theirs.min()), float(theirs.max())  # type: ignore[arg-type]
        place = "within" if low <= ic.mean() <= high else ("below" if ic.mean() < low else "above")
        text += f", {place} the range {low:.3f} to {high:.3f} that this protocol has given others"
    text += "."
    part = frame.filter(dataset=dataset, metric=OF_SCORES, setting="IC", label="rival, LOOK-AHEAD")
    beside = [f"{m} {v:.4f}" for m, v in zip(part["model"], part["value"], strict=True)]
    text += f" Beside it: {'; '.join(beside)}." if beside else ""
    seen, hidden = (
        values(frame, dataset, OF_FUTURE, f"IC, {way}", ours)
        for way in ("LOOK-AHEAD", "future hidden")
    )
    if len(seen):
        gone = seen - hidden
        text += (
            f" The same weights with the future hidden have {spread(hidden)} where they had "
            f"{spread(seen)}: {spread(gone)} is owed to the future"
        )
        text += f", {gone.mean() / seen.mean():.0%} of it." if seen.mean() > 0 else "."
    text += _against_market(frame, dataset, ours)
    market = values(frame, dataset, "the 5 best", "Sharpe, 0 bp", "market")
    others = published("sspt").filter(dataset=dataset, setting="Sharpe, 0 bp")["value"]
    if len(market) and len(others):
        below = int((others < market.mean()).sum())
        text += f" Of the {len(others)} published Sharpe ratios {below} are below the market's."
    return [text + _of_pretext(frame, dataset, ours)]


def _of_corrected(frame: pl.DataFrame, panel: str, ours: str) -> list[str]:
    dataset = dataset_name(panel, "corrected")
    ic = values(frame, dataset, OF_SCORES, "IC", ours)
    if not len(ic):
        return []
    t = values(frame, dataset, OF_SCORES, "IC, t", ours)
    is_known = abs(t.mean()) > 2
    text = f"**{dataset}.** What is left without look-ahead: IC {spread(ic)} over {len(ic)} seeds"
    text += f", with a t of {t.mean():.1f} over the days, "
    text += "which is not zero." if is_known else "which the days cannot tell from zero."
    part = frame.filter(dataset=dataset, metric=OF_SCORES, setting="IC", label="rival")
    better = part.filter(pl.col("value") >= ic.mean())["model"].to_list()
    text += f" As much or more without a network: {'; '.join(better)}." if better else ""
    return [text + _against_market(frame, dataset, ours) + _of_pretext(frame, dataset, ours)]


def _against_market(frame: pl.DataFrame, dataset: str, ours: str) -> str:
    sharpe, costly = (
        [values(frame, dataset, "the 5 best", f"Sharpe, {cost}", one) for one in (ours, "market")]
        for cost in ("0 bp", "10 bp")
    )
    if not all(map(len, (*sharpe, *costly))):
        return ""
    gap = sharpe[0].mean() - sharpe[1].mean()
    size = abs(gap) / SHARPE_ERROR
    return (
        f" The 5 best have a Sharpe ratio of {spread(sharpe[0], 2)} without costs, the market "
        f"{sharpe[1].mean():.2f}: a gap of {gap:+.2f}, {size:.1f} standard errors of one ratio. "
        f"With 10 bp it is {spread(costly[0], 2)} against {costly[1].mean():.2f}."
    )


def _of_pretext(frame: pl.DataFrame, dataset: str, ours: str) -> str:
    """Say how often better than chance each task is on days that training has not seen."""
    settings = {"stock accuracy": "stocks", "sector balanced accuracy": "sectors, balanced"}
    parts = []
    for setting, name in settings.items():
        found, chance = (
            values(frame, dataset, OF_PRETEXT, setting, one) for one in (ours, "chance")
        )
        if len(found) and len(chance):
            parts.append(f"{found.mean() / chance.mean():.1f} times chance for {name}")
    found, last = (
        values(frame, dataset, OF_PRETEXT, "moving average R²", one) for one in (ours, "last close")
    )
    if len(found) and len(last):
        seen = values(frame, dataset, OF_PRETEXT, "moving average R²", "mean of the visible closes")
        parts.append(
            f"R² {found.mean():.3f} for moving averages, where the last close has "
            f"{last.mean():.3f} and the mean of the visible closes {seen.mean():.3f}"
        )
    return f" Pretext tasks on held-out days: {', '.join(parts)}." if parts else ""


def _of_control(frame: pl.DataFrame, ours: str) -> list[str]:
    """Compare every start with random weights, seed by seed."""
    of_recipe = values(frame, dataset_name("nasdaq", "corrected"), OF_SCORES, "IC", ours)
    arms = {
        one: values(frame, CONTROL, OF_SCORES, "IC", one)
        for one in ("SSPT, scratch", "Timer, scratch", "Timer, pre-trained on the pool")
    } | {ours: of_recipe}
    text = []
    for start, scratch in (
        (ours, "SSPT, scratch"),
        ("Timer, pre-trained on the pool", "Timer, scratch"),
    ):
        n_seeds = min(len(arms[start]), len(arms[scratch]))
        if n_seeds < 2:
            continue
        gain = arms[start][:n_seeds] - arms[scratch][:n_seeds]
        error = standard_error(gain)
        says = "no known difference"
        if abs(gain.mean()) > 2 * error:
            says = "better" if gain.mean() > 0 else "worse"
        text.append(
            f"{start}: {says}; IC {gain.mean():+.4f} ± {error:.4f} against random weights, paired "
            f"by {n_seeds} seeds."
        )
    if not text:
        return []
    ic, t = (
        frame.filter(dataset=CONTROL, metric=OF_SCORES, setting=setting)["value"].to_numpy()
        for setting in ("IC", "IC, t")
    )
    text.append(
        "All seeds share the test days, which alone give an IC an error of about "
        f"{np.median(np.abs(ic / t)):.4f}. The windows of Timer are 64 closes."
    )
    return [f"**Never from scratch?** {' '.join(text)}"]
