"""What Go writes in these tests was printed by Go 1.26."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rota.core import go_text

DURATIONS_US = [
    (0, "0s"),
    (1, "1µs"),
    (20, "20µs"),
    (1500, "1.5ms"),
    (1000, "1ms"),
    (999_999, "999.999ms"),
    (1_000_000, "1s"),
    (1_500_000, "1.5s"),
    (60_000_000, "1m0s"),
    (5_400_000_000, "1h30m0s"),
    (86_400_000_000, "24h0m0s"),
    (7_200_300_000, "2h0m0.3s"),
    (-5_000_000, "-5s"),
    (-20, "-20µs"),
    (3_600_000_001, "1h0m0.000001s"),
]
QUOTED = [
    ('a"b', r'"a\"b"'),
    ("a\\b", r'"a\\b"'),
    ("\a\b\f\n\r\t\v", r'"\a\b\f\n\r\t\v"'),
    ("\x00\x1f\x7f", r'"\x00\x1f\x7f"'),
    ("é你😀", '"é你😀"'),
    ("\u00a0\u2028\u200b\ufeff\u00ad\u3000", r'"\u00a0\u2028\u200b\ufeff\u00ad\u3000"'),
    ("\U000e0001\U0010ffff\ue000\u0085", r'"\U000e0001\U0010ffff\ue000\u0085"'),
    ("'`<&>)(", '"\'`<&>)("'),
]


@pytest.mark.parametrize(("micros", "text"), DURATIONS_US)
def test_a_duration_is_written_as_go_writes_it(micros: int, text: str):
    assert go_text.duration(timedelta(microseconds=micros)) == text


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("1.5h", 5_400_000_000),
        ("+5s", 5_000_000),
        ("-1h2m3.5s", -3_723_500_000),
        (".5s", 500_000),
        ("5.s", 5_000_000),
        ("1.s2m", 121_000_000),
        ("1us", 1),
        ("1µs", 1),
        ("1μs", 1),
        ("1500ns", 1),
        ("0", 0),
        ("-0", 0),
    ],
)
def test_a_duration_is_read_as_go_reads_it(text: str, micros: int):
    assert go_text.parse_duration(text) == timedelta(microseconds=micros)


@pytest.mark.parametrize("text", ["", "1", "s", "1h-2m", "--5s", "5d", "1 s", ".s"])
def test_what_go_does_not_take_for_a_duration_is_refused(text: str):
    with pytest.raises(ValueError, match="is no duration"):
        go_text.parse_duration(text)


@given(st.timedeltas())
def test_every_duration_survives_the_way_through_text(value: timedelta):
    assert go_text.parse_duration(go_text.duration(value)) == value


@pytest.mark.parametrize(("text", "literal"), QUOTED)
def test_a_text_is_quoted_as_go_quotes_it(text: str, literal: str):
    assert go_text.quote(text) == literal
    assert go_text.unquote(literal) == text


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_every_text_survives_the_way_through_quotes(text: str):
    assert go_text.unquote(go_text.quote(text)) == text


def test_quoted_bytes_that_are_no_utf8_become_replacement_characters():
    assert go_text.unquote(r'"a\xffb"') == "a\ufffdb"
    assert go_text.unquote(r'"\xe4\xbd\xa0"') == "你"


def test_half_a_surrogate_pair_is_replaced():
    assert go_text.quote("\ud800") == '"\ufffd"'


@pytest.mark.parametrize(
    "literal", ["", '"', "a", '"a', 'a"', '"a"b"', r'"a\"', r'"\q"', r'"\xg0"', r'"\UFFFFFFFF"', r'"\ud800"']
)
def test_what_is_no_quoted_text_is_refused(literal: str):
    with pytest.raises(ValueError, match=r"quoted|escape|character"):
        go_text.unquote(literal)


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2024, 3, 5, 6, 7, 8, tzinfo=UTC), "Tue Mar  5 06:07:08 UTC 2024"),
        (datetime(2024, 12, 15, 23, 59, 59, tzinfo=UTC), "Sun Dec 15 23:59:59 UTC 2024"),
        (datetime(1, 1, 1, tzinfo=UTC), "Mon Jan  1 00:00:00 UTC 0001"),
    ],
)
def test_a_time_is_written_as_go_writes_it(moment: datetime, text: str):
    assert go_text.moment(moment) == text
    assert go_text.parse_moment(text) == moment


def test_a_time_in_another_zone_is_written_in_utc():
    east = timezone(timedelta(hours=3, minutes=30))
    assert go_text.moment(datetime(2024, 3, 5, 9, 37, 8, tzinfo=east)) == "Tue Mar  5 06:07:08 UTC 2024"


@pytest.mark.parametrize(("zone", "offset_minutes"), [("GMT", 0), ("+0330", 210), ("-03", -180), ("+05:45", 345)])
def test_a_zone_that_says_its_offset_is_understood(zone: str, offset_minutes: int):
    moment = go_text.parse_moment(f"Tue Mar  5 06:07:08 {zone} 2024")
    assert moment.utcoffset() == timedelta(minutes=offset_minutes)


def test_a_zone_that_says_no_offset_is_not_guessed():
    with pytest.raises(ValueError, match="'CET' says no offset"):
        go_text.parse_moment("Thu Jan  1 01:00:00 CET 1970")


@pytest.mark.parametrize(
    "text", ["", "2024-03-05T06:07:08Z", "Tue Mrz  5 06:07:08 UTC 2024", "Tue Feb 30 06:07:08 UTC 2024"]
)
def test_what_is_no_time_is_refused(text: str):
    with pytest.raises(ValueError, match=r"is no time|out of range"):
        go_text.parse_moment(text)


def test_a_time_without_a_zone_is_refused():
    with pytest.raises(ValueError, match="no time zone"):
        go_text.moment(datetime(2024, 3, 5))
