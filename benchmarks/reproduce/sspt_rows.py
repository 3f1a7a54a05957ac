"""Reports of ``tsfm backtest`` as scores of the table in sspt.py."""

from collections.abc import Iterator
from typing import Any

from tables import Score

NAMES = {"nasdaq": "NASDAQ", "nyse": "NYSE"}
LOOK_AHEAD = "faithful: LOOK-AHEAD"
CONTROL = "NASDAQ, corrected: is pre-training worth it?"
AVERAGED = "SSPT, scores of all seeds averaged"
SCORES = {
    "ic": "IC",
    "ic_t": "IC, t",
    "icir": "ICIR",
    "rank_ic": "rank IC",
    "rank_ic_t": "rank IC, t",
    "precision": "precision@10",
}
PRETEXT = {
    "stock_code/accuracy": "stock accuracy",
    "stock_sector/accuracy": "sector accuracy",
    "stock_sector/balanced_accuracy": "sector balanced accuracy",
    "moving_average/skill_over_batch_mean": "moving average R²",
}
OF_SCORES, OF_PRETEXT, OF_FUTURE = "scores", "pretext tasks, held-out days", "IC and the future"
# Rivals that are fitted on the features of the ranker, and look ahead with them.
FITTED = "on the same features"


def dataset_name(panel: str, mode: str) -> str:
    """Return the heading of a panel and mode; look-ahead is in it."""
    return f"{NAMES[panel]}, {LOOK_AHEAD if mode == 'faithful' else mode}"


def main_scores(report: dict[str, Any], panel: str, mode: str, ours: str) -> Iterator[Score]:
    """Yield everything that the table shows of a backtest."""
    dataset = dataset_name(panel, mode)
    n_seeds = len(report["config"]["run"]["seeds"])
    cost = {"seconds": seconds_of(report) / n_seeds, "parameters": report["parameters"]}
    seen = set()
    for row in report["results"]:
        model = {"ranker": ours, "ranker, seeds averaged": AVERAGED}.get(row["model"], row["model"])
        key: dict[str, Any] = {
            "dataset": dataset,
            "model": model,
            "label": label_of(row, mode),
            "seed": row["seed"] or 0,
        }
        if row["model"] == "ranker":
            key |= cost
        if row.get("ic") is not None and (model, key["seed"]) not in seen:
            seen.add((model, key["seed"]))
            yield from named(key, OF_SCORES, row, SCORES)
        yield from portfolio(key, row, report["config"]["backtest"]["top_k"])
    yield from of_pretext(report, dataset, mode, ours)
    yield from of_future(report, dataset, ours)


def label_of(row: dict[str, Any], mode: str) -> str:
    """Return how a row came about."""
    is_fitted = row["kind"] == "ranker" or FITTED in row["model"]
    parts = [] if row["kind"] == "ranker" else ["rival"]
    if mode == "faithful" and is_fitted:
        parts.append("LOOK-AHEAD")
    return ", ".join(parts) or "held-out"


def named(
    key: dict[str, Any], metric: str, values: dict[str, Any], names: dict[str, str]
) -> Iterator[Score]:
    """Yield a score per name that has a value."""
    for name, setting in names.items():
        if values.get(name) is not None:
            yield Score(**key, metric=metric, setting=setting, value=values[name])


def portfolio(key: dict[str, Any], row: dict[str, Any], sizes: list[int]) -> Iterator[Score]:
    """Yield what the best stocks earned; the market stands in the table of every size."""
    cost = f"{row['cost_bps']:g} bp"
    names = {"sharpe": f"Sharpe, {cost}", "irr": f"IRR, {cost}"}
    for size in [row["top_k"]] if row["top_k"] else sizes:
        metric = f"the {size} best"
        yield from named(key, metric, row, names)
        for side, share in (("sharpe_low", "5 %"), ("sharpe_high", "95 %")):
            if row.get(side) is not None:
                of_side = {**key, "model": f"{row['model']}, {share} quantile"}
                yield from named(of_side, metric, row, {side: names["sharpe"]})


def of_pretext(report: dict[str, Any], dataset: str, mode: str, ours: str) -> Iterator[Score]:
    """Yield what pre-training learned, chance, and the rivals that learn nothing."""
    found = {int(seed): values for seed, values in report["pretext"].items() if values}
    label = "LOOK-AHEAD" if mode == "faithful" else "held-out"
    for seed, values in found.items():
        key = {"dataset": dataset, "model": ours, "label": label, "seed": seed}
        yield from named(key, OF_PRETEXT, values, PRETEXT)
    if not found:
        return
    first, panel = next(iter(found.values())), report["panel"]
    chance = {
        "stock_code/accuracy": first["stock_code/commonest"],
        "stock_sector/accuracy": 1 / panel["sectors"],
        "stock_sector/balanced_accuracy": 1 / panel["sectors"],
        "moving_average/skill_over_batch_mean": 0.0,
    }
    commonest = {"stock_sector/accuracy": first["stock_sector/commonest"]}
    usual = first["moving_average/batch_mean_error"]
    errors = {"last close": "last_value_error", "mean of the visible closes": "visible_mean_error"}
    rivals = {"chance": chance, "commonest sector": commonest} | {
        name: {"moving_average/skill_over_batch_mean": 1 - first[f"moving_average/{error}"] / usual}
        for name, error in errors.items()
    }
    for model, values in rivals.items():
        key = {"dataset": dataset, "model": model, "label": "rival"}
        yield from named(key, OF_PRETEXT, values, PRETEXT)


def of_future(report: dict[str, Any], dataset: str, ours: str) -> Iterator[Score]:
    """Yield coefficients with the future and with it hidden, of the same weights and days."""
    found = report["look_ahead"]
    if "hidden_ic" not in found:
        return
    seeds = report["config"]["run"]["seeds"]
    names = {"ic": "IC", "rank_ic": "rank IC"}
    for way, label in (("seen", "LOOK-AHEAD"), ("hidden", "future hidden")):
        for name, setting in names.items():
            for seed, value in zip(seeds, found[f"{way}_{name}"], strict=True):
                yield Score(
                    dataset=dataset,
                    setting=f"{setting}, {label}",
                    model=ours,
                    metric=OF_FUTURE,
                    value=value,
                    label=f"{found['hidden_days']} test days",
                    seed=seed,
                )


def control_scores(report: dict[str, Any], arm: str) -> Iterator[Score]:
    """Yield what the control compares: scores, and the five best without costs and with 10 bp."""
    cost = {
        "seconds": seconds_of(report) / len(report["config"]["run"]["seeds"]),
        "parameters": report["parameters"],
    }
    for row in report["results"]:
        if row["model"] != "ranker" or row["top_k"] != 5:
            continue
        key = {"dataset": CONTROL, "model": arm, "label": "held-out", "seed": row["seed"], **cost}
        if row["cost_bps"] == 0:
            yield from named(key, OF_SCORES, row, SCORES)
        if row["cost_bps"] in (0, 10):
            name = f"Sharpe of the 5 best, {row['cost_bps']:g} bp"
            yield from named(key, OF_SCORES, row, {"sharpe": name})


def seconds_of(report: dict[str, Any]) -> float:
    """Return the time that all seeds have trained."""
    phases = [one for seed in report["training"].values() for one in seed.values() if one]
    return float(sum(one["seconds"] for one in phases))
