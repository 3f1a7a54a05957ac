"""Sizes that the models over patches share, and what must hold between them."""

from tsfm.errors import ConfigError

DECILES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


def check_heads(d_model: int, n_heads: int) -> None:
    """Raise when heads are no pairs of numbers, which rotations need.

    Raises
    ------
    ConfigError
        Which is a ValueError, as pydantic wants it of a rule between fields.
    """
    if d_model % (2 * n_heads):
        raise ConfigError(
            f"d_model must be a multiple of 2 * n_heads, got d_model={d_model} and "
            f"n_heads={n_heads}"
        )


def check_levels(levels: tuple[float, ...]) -> None:
    """Raise when quantile levels do not rise, or the middle one is not the median.

    Raises
    ------
    ConfigError
        Which is a ValueError, as pydantic wants it of a rule between fields.
    """
    if list(levels) != sorted(set(levels)) or any(not 0 < level < 1 for level in levels):
        raise ConfigError(f"quantile_levels must rise strictly between 0 and 1, got {levels}")
    if not levels or levels[len(levels) // 2] != 0.5:
        raise ConfigError(f"quantile_levels must have 0.5 in the middle, got {levels}")
