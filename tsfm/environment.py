"""What a run ran on: commit, versions, memory. Reports and trackers record it."""

import importlib.metadata
import subprocess
import sys
from pathlib import Path
from typing import Any

PACKAGES = ("tsfm-kit", "torch", "numpy", "polars", "mlflow")
# `ru_maxrss` counts kilobytes on Linux and bytes on macOS.
PEAK_UNITS_PER_MB = 1024**2 if sys.platform == "darwin" else 1024


def commit() -> str | None:
    """Return the commit of the checkout that this package runs from, or None outside of one."""
    root = Path(__file__).parents[1]
    if not (root / ".git").exists():  # installed, perhaps within the checkout of something else
        return None
    command = ["git", "-C", str(root), "rev-parse", "HEAD"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip()


def versions() -> dict[str, str]:
    """Return the installed versions of this package and of those that numbers depend on.

    Examples
    --------
    >>> "torch" in versions()
    True
    """
    found = {}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def peak_memory_mb() -> float | None:
    """Return the most memory that this process ever held, or None where that is not known."""
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / PEAK_UNITS_PER_MB


def ran_on() -> dict[str, Any]:
    """Return what every report says of its run: commit, versions, and most memory so far."""
    return {"commit": commit(), "versions": versions(), "peak_memory_mb": peak_memory_mb()}
