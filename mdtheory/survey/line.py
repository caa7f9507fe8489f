"""One line of a survey's `blocks.jsonl`: a block's tallies as JSON, and whether it is whole.

A line ends with the checksum of what stands before it; one without a checksum is taken if its
numbers fit together.
"""

from __future__ import annotations

import json
import zlib
from typing import Any

from mdtheory.survey.draw import BATCH, LARGEST, with_baseline
from mdtheory.survey.settings import Settings
from mdtheory.survey.tally import Tally, whole_up_to

CHECKSUM = "crc32"


def dump_line(record: dict[str, Any]) -> bytes:
    """A block's result, as `survey_block` returns it, with its checksum and a newline."""
    text = json.dumps(record | {CHECKSUM: _checksum(record)}, allow_nan=False)
    return text.encode() + b"\n"


def load_line(line: bytes) -> dict[str, Any]:
    """What `dump_line` was given.

    Raises:
        ValueError: it is no JSON object, or not what its checksum was made of.
    """
    try:
        record = json.loads(line)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(record, dict):
        raise ValueError("no JSON object")
    if CHECKSUM in record:
        expected = record.pop(CHECKSUM)
        if expected != _checksum(record):
            raise ValueError(f"its {CHECKSUM} does not fit")
    return record


def _checksum(record: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(record).encode())


def tallies_of(record: dict[str, Any], settings: Settings) -> tuple[range, dict[str, Tally]]:
    """The batches of a block, and by bound what it found.

    Raises:
        ValueError: for what cannot be a result of these settings; the text says what is wrong.
    """
    try:
        first = whole_up_to("first", record["first"], LARGEST)
        stop = whole_up_to("stop", record["stop"], LARGEST)
        if first % BATCH or stop % BATCH or first >= stop:
            raise ValueError(
                f"first and stop must be multiples of {BATCH}, and first less than stop, got"
                f" {first} and {stop}"
            )
        tallies = {}
        for bound in settings.parsed:
            tally = Tally.from_json(settings.keep, record["bounds"][bound.id])
            n = with_baseline(first, stop) if bound.needs_baseline else stop - first
            try:
                tally.require_of(n, range(first, stop))
            except ValueError as error:
                raise ValueError(f"{bound.id}: {error}") from None
            tallies[bound.id] = tally
    except KeyError as error:
        raise ValueError(f"no entry {error}") from None
    except (TypeError, AttributeError) as error:
        raise ValueError(f"not laid out as a block is: {error}") from None
    return range(first // BATCH, stop // BATCH), tallies
