"""The list of what does not run on a deployment names things that are there."""

import re

from scripts.tree import ROOT
from tests.conformance import DEPLOYMENTS, ELSEWHERE, PROCESSES


def test_what_is_left_out_is_there_to_be_left_out() -> None:
    for test_id, deployments, reason in ELSEWHERE:
        file, _, test = test_id.partition("::")
        assert re.search(rf"^(async )?def {test}", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE), test_id
        assert deployments <= set(DEPLOYMENTS)
        assert reason
    assert [test_id for test_id in PROCESSES if not (ROOT / test_id).exists()] == []
