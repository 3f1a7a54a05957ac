"""Labelled series whose anomaly is a state of the whole machine that lasts for hundreds of rows.

Most channels move, each by little, and the series stays there: to its end, or until it comes back.
Forecasts follow such a state within a window; its rows are anomalous all the same. Hosts are real
series, of one channel and of several, and synthetic machines, which are the same all the time.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tsfm.evaluation.injected import draw_series
from tsfm.evaluation.injected_channels import draw_channels, level_around, spread_around
from tsfm.series.cards import load_card
from tsfm.shapes import Bool, Float64, ndarray

SHORTEST_STATE, LONGEST_STATE = 150, 600
MACHINE_ROWS = (800, 3000)
MACHINE_CHANNELS = (3, 9)
SIZES = (0.3, 1.5)
SOFTER, LOUDER = (0.3, 0.7), (1.5, 3.0)
SMALLEST_SHARE = 0.5
"""Of the channels that change, at least."""
State = Callable[
    [Float64[ndarray, "step channel"], np.random.Generator], Float64[ndarray, "step channel"]
]


def injected_states(
    single_cards: Sequence[str],
    channel_cards: Sequence[str],
    n_per_card: int,
    generator: np.random.Generator,
) -> list[tuple[str, Float64[ndarray, "time channel"], Bool[ndarray, " time"]]]:
    """Draw series of cards and as many machines as of the channel cards, and change their states.

    Returns
    -------
    series
        Name (``host/kind/number``), values and labels. Kinds take turns over all hosts.
    """
    hosts: list[tuple[str, ndarray]] = []
    for card in single_cards:
        hosts += [(card, values[:, None]) for values in draw_series(card, n_per_card, generator)]
    for card in channel_cards:
        drawn = list(draw_channels(load_card(card), n_per_card, generator))
        hosts += [(card, values) for values in drawn]
        hosts += [("machine", machine(generator)) for _ in drawn]
    found = []
    for number, (host, values) in enumerate(hosts):
        kinds = [kind for kind in STATES if kind != "coupling" or values.shape[1] > 1]
        kind = kinds[number % len(kinds)]
        found.append((f"{host}/{kind}/{number}", *inject_state(values, kind, generator)))
    return found


def inject_state(
    values: Float64[ndarray, "time channel"], kind: str, generator: np.random.Generator
) -> tuple[Float64[ndarray, "time channel"], Bool[ndarray, " time"]]:
    """Return a copy with one lasting state after the first third, and where it is.

    Parameters
    ----------
    kind
        A key of `STATES`.

    Examples
    --------
    >>> generator = np.random.default_rng(0)
    >>> values = machine(generator)
    >>> changed, labels = inject_state(values, "levels", generator)
    >>> bool(((changed != values).any(axis=1) == labels).all())
    True
    """
    n_rows, n_channels = values.shape
    start = int(generator.integers(n_rows // 3, n_rows - SHORTEST_STATE))
    comes_back = generator.random() < 0.5
    length = int(generator.integers(SHORTEST_STATE, LONGEST_STATE))
    rows = slice(start, min(start + length, n_rows) if comes_back else n_rows)
    level, spread = level_around(values, rows), spread_around(values, rows)
    state = STATES[kind]((values[rows] - level) / spread, generator)
    least = 1 if n_channels == 1 else max(2, round(SMALLEST_SHARE * n_channels))
    n_changed = n_channels if kind == "coupling" else generator.integers(least, n_channels + 1)
    chosen = generator.permutation(n_channels)[:n_changed]
    changed, labels = values.copy(), np.zeros(n_rows, bool)
    changed[rows, chosen] = (level + spread * state)[:, chosen]
    labels[rows] = True
    return changed, labels


def machine(generator: np.random.Generator) -> Float64[ndarray, "time channel"]:
    """Return a stationary series of channels that share some hidden causes, in units of their own.

    Causes are slow or fast noise or cycles of work; some sensors have a coarse resolution.
    """
    from scipy.signal import lfilter

    n_rows = int(generator.integers(*MACHINE_ROWS))
    n_channels = int(generator.integers(*MACHINE_CHANNELS))
    n_causes = int(generator.integers(1, n_channels + 1))
    memory = generator.uniform(0.0, 0.98, n_causes)
    causes = np.stack(
        [
            lfilter([np.sqrt(1 - one**2)], [1, -one], generator.normal(size=n_rows + 500))[500:]
            for one in memory
        ],
        axis=1,
    )
    phase = np.arange(n_rows)[:, None] / generator.uniform(2, 30, n_causes)
    causes = np.where(generator.random(n_causes) < 0.3, 1.4 * np.sin(phase), causes)
    shares = generator.normal(size=(n_causes, n_channels)) / np.sqrt(n_causes)
    own = generator.normal(size=(n_rows, n_channels)) * generator.uniform(0.1, 1.5, n_channels)
    values = causes @ shares + own
    step = np.where(generator.random(n_channels) < 0.3, generator.uniform(0.2, 1, n_channels), 1e-6)
    units = 10.0 ** generator.uniform(-2, 3, n_channels)
    place: ndarray = generator.normal(0, 10, n_channels)
    return np.asarray(units * (place + step * np.round(values / step)))


def _levels(
    part: Float64[ndarray, "step channel"], generator: np.random.Generator
) -> Float64[ndarray, "step channel"]:
    return part + _sizes(part.shape[1], generator)


def _drift(
    part: Float64[ndarray, "step channel"], generator: np.random.Generator
) -> Float64[ndarray, "step channel"]:
    """Reach the new levels slowly, after half of the rows."""
    way = np.minimum(1, np.linspace(0, 2, len(part) + 1)[1:, None])
    return part + way * _sizes(part.shape[1], generator)


def _spreads(
    part: Float64[ndarray, "step channel"], generator: np.random.Generator
) -> Float64[ndarray, "step channel"]:
    """Every channel softer or louder around its level."""
    n_channels = part.shape[1]
    softer, louder = (generator.uniform(*span, n_channels) for span in (SOFTER, LOUDER))
    return part * np.where(generator.random(n_channels) < 0.5, softer, louder)


def _coupling(
    part: Float64[ndarray, "step channel"], generator: np.random.Generator
) -> Float64[ndarray, "step channel"]:
    """Turn all channels into each other: what they have to do with each other is new."""
    n_channels = part.shape[1]
    turn, _ = np.linalg.qr(generator.normal(size=(n_channels, n_channels)))
    return np.asarray(part @ turn)


def _sizes(n_channels: int, generator: np.random.Generator) -> Float64[ndarray, " channel"]:
    signs = generator.choice([-1, 1], n_channels)
    return np.asarray(signs * generator.uniform(*SIZES, n_channels))


STATES: Mapping[str, State] = {
    "levels": _levels,
    "spreads": _spreads,
    "coupling": _coupling,
    "drift": _drift,
}
