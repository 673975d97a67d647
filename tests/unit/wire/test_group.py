"""What the scripts of aggregations answer, as values."""

from rota.wire.group import Aggregated, AggregationSet, Ended, aggregate
from rota.wire.keys import QueueKeys


def test_only_a_refused_result_says_why() -> None:
    call = aggregate(AggregationSet(QueueKeys("q"), "g", "s"), None)
    assert call.decode([0, [b"replaced", b"a", b"pending"]]) == Aggregated(Ended.DONE, "")
    assert call.decode([3, [b"conflict", b"a", b"active"]]) == Aggregated(Ended.REFUSED, "conflict a active")
