"""Made series of the kinds that are hard, as a table of errors and one drawing, for a model card.

Periods of 7 and of no whole number, a trend, demand that is mostly zero, and short series: known
without any data set, the same in every run, and seen by no model.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from tsfm.markdown import markdown_table
from tsfm.tasks.forecast import Forecaster

N_SERIES, HORIZON = 40, 28
LEVELS = (0.1, 0.5, 0.9)
WIDTH, HEIGHT = 720, 110
Make = Callable[[np.random.Generator, np.ndarray], np.ndarray]


def _season(period: float) -> Make:
    def make(generator: np.random.Generator, step: np.ndarray) -> np.ndarray:
        phase = 2 * np.pi * (step / period + generator.random())
        shape = np.sin(phase) + 0.5 * np.sin(2 * phase + generator.random())
        return 10 + 3 * shape + generator.normal(0, 0.5, len(step))

    return make


def _trend(generator: np.random.Generator, step: np.ndarray) -> np.ndarray:
    return 10 + generator.normal(0, 0.1) * step + generator.normal(0, 1, len(step))


def _intermittent(generator: np.random.Generator, step: np.ndarray) -> np.ndarray:
    return generator.poisson(3, len(step)) * (generator.random(len(step)) < 0.15) * 1.0


# Kind -> how a series is drawn, steps of context, season of the naive rival.
KINDS: dict[str, tuple[Make, int, int]] = {
    "period 7": (_season(7), 200, 7),
    "period 30.44": (_season(30.44), 400, 30),
    "trend": (_trend, 200, 1),
    "intermittent": (_intermittent, 200, 1),
    "period 12, 20 steps": (_season(12), 20, 12),
}


def failures(checkpoint: Path) -> tuple[str, str]:
    """Return the table of errors and the drawing, as Markdown and as SVG."""
    model = Forecaster.from_pretrained(checkpoint)
    body, panels = [], []
    for number, (kind, (make, length, season)) in enumerate(KINDS.items()):
        generator = np.random.default_rng(number)
        step = np.arange(length + HORIZON)
        series = np.stack([make(generator, step) for _ in range(N_SERIES)])
        past, future = series[:, :length], series[:, length:]
        offsets = np.arange(N_SERIES + 1) * length
        found = model.forecast_arrays(past.reshape(-1, 1), offsets, HORIZON, LEVELS)[..., 0]
        repeated = past[:, -season:][:, np.arange(HORIZON) % season]
        mean = np.repeat(past.mean(1, keepdims=True), HORIZON, 1)
        errors = [np.abs(one - future).mean(1) for one in (found[:, 1], repeated, mean)]
        inside = ((found[:, 0] <= future) & (future <= found[:, 2])).mean()
        spread = errors[0].std(ddof=1) / np.sqrt(N_SERIES)
        cells = [f"{errors[0].mean():.2f} ± {spread:.2f}"]
        cells += [f"{error.mean():.2f}" for error in errors[1:]]
        body.append([kind, *cells, f"{inside:.2f}"])
        panels.append(_panel(kind, past[0], future[0], found[0], number))
    header = ["made series", "mean absolute error", "seasonal naive", "mean", "80 % coverage"]
    says = f"{N_SERIES} made series of each kind that is hard, {HORIZON} steps ahead:"
    size = f'width="{WIDTH}" height="{HEIGHT * len(panels)}"'
    drawing = f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{"".join(panels)}</svg>\n'
    return f"{says}\n\n{markdown_table(header, body)}", drawing


def _panel(kind: str, past: np.ndarray, future: np.ndarray, found: np.ndarray, number: int) -> str:
    past = past[-100:]
    every = np.concatenate([past, future, found.ravel()])
    low, size = every.min(), np.ptp(every) or 1.0
    n_steps = len(past) + HORIZON

    def line(values: np.ndarray, start: int, style: str) -> str:
        x = 10 + (WIDTH - 20) * (start + np.arange(len(values))) / n_steps
        y = HEIGHT * (number + 1) - 10 - (HEIGHT - 35) * (values - low) / size
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
        return f'<polyline fill="none" {style} points="{points}"/>'

    title = f'<text x="10" y="{HEIGHT * number + 16}" font-family="sans-serif" font-size="12">'
    bounds = [line(found[n], len(past), 'stroke="#93c5fd"') for n in (0, 2)]
    return "".join(
        [
            f"{title}{kind}: observed (black), median and 80 % interval (blue)</text>",
            line(np.concatenate([past, future]), 0, 'stroke="#1f2937"'),
            *bounds,
            line(found[1], len(past), 'stroke="#2563eb" stroke-width="2"'),
        ]
    )
