"""The acceptance test of formats, for those who write them: see docs/plugins.md.

from slicery_workers.testing import check_format

def test_the_format_keeps_its_promises():
    check_format("flat", "tests/some.embl", read=read_with_another_library)
"""

from __future__ import annotations

from slicery_workers.testing.check import Checked, check_format
from slicery_workers.testing.examples import Example
from slicery_workers.testing.expect import FormatProblem
from slicery_workers.testing.memory import MemoryDataset, index_bytes

__all__ = ["Checked", "Example", "FormatProblem", "MemoryDataset", "check_format", "index_bytes"]
