"""The card of a checkpoint, written from its config, so that the two cannot disagree."""

from typing import Any

CARD_NOTE = (
    "Every name is a card under `data/`, with source and licence. What the model says of these"
)


def checkpoint_card(config: dict[str, Any], n_parameters: int) -> str:
    """Return what stands beside the weights for people to read."""
    backbone = config["backbone"]
    lines = [
        f"# {config['details'].get('name', backbone['name'])}",
        "",
        f"- backbone: {backbone['name']}, {n_parameters:,} parameters",
        *(f"- head: {name}, {head['kind']}" for name, head in config["heads"].items()),
        f"- context: up to {config['context_length']} steps",
        f"- licence of the weights: {config['licence']}",
        f"- training cut-off: {config['training_cutoff'] or 'unknown'}",
        f"- share of synthetic training windows: {config['synthetic_share']:.0%}",
        "",
        "## Training data",
        "",
        *(f"- `{card}`" for card in config["trained_on"]),
        "",
        CARD_NOTE,
        "series is not zero-shot.",
        "",
        "## Limits",
        "",
        *_limits(backbone["config"].get("n_channels")),
        "",
    ]
    return "\n".join(lines)


def _limits(n_channels: int | None) -> tuple[str, ...]:
    if n_channels is not None:
        return (
            f"Made for {n_channels} channels, which it reads together and standardised. Steps must",
            "be regular.",
        )
    return (
        "Univariate: every channel is read by itself, without covariates or stamps. Steps must be",
        "regular. Quantiles outside the trained levels are extrapolated.",
    )
