"""Data sets by name: which there are, whether they are whole, and a pool made of them."""

import json
import logging
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tsfm.errors import DataError
from tsfm.jobs.markdown import table
from tsfm.series.cards import (
    DatasetCard,
    file_digest,
    find_file,
    list_cards,
    load_card,
    require_file,
)
from tsfm.series.pool_builder import build_pool

log = logging.getLogger(__name__)

REPORT_FILE = "report.json"


def list_data() -> dict[str, Any]:
    """List the data sets that have a card, and where their files are."""
    return {}
