"""The shop's functions, without any queue: what the demo's tasks really do."""

import os
import smtplib
import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.policy import default as modern
from pathlib import Path

import pytest
from PIL import Image

from examples.shop import backup, cleaning, courier, database, heartbeat, images, mail, report
from examples.shop.mail_sink import MailSink

DATA = Path(images.__file__).parent / "data"
SALES = DATA / "sales.csv"


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    path = tmp_path / "shop.sqlite3"
    database.fill(path, SALES)
    return path


@pytest.mark.parametrize("source", sorted((DATA / "images").iterdir()), ids=lambda path: path.name)
def test_an_image_is_resized_in_proportion(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "small" / "copy.jpg"

    size = images.resize(source, target, 300)

    assert size == (300, 200)
    with Image.open(target) as copy:
        assert (copy.size, copy.format) == ((300, 200), "JPEG")


def test_an_image_that_cannot_be_read_leaves_nothing_behind(tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no image")

    with pytest.raises(OSError, match="cannot identify"):
        images.resize(broken, tmp_path / "out" / "copy.jpg", 300)

    assert not (tmp_path / "out").exists()


def test_a_report_adds_up_the_sales_of_its_month(tmp_path: Path) -> None:
    total = report.build(SALES, "2025-11", tmp_path)

    lines = (tmp_path / "sales-2025-11.csv").read_text().splitlines()[1:]
    assert total > 0
    assert sum(int(line.split(",")[1]) for line in lines) == total
    assert report.euros(total) in (tmp_path / "sales-2025-11.html").read_text()


def test_the_months_add_up_to_the_year(tmp_path: Path, shop: Path) -> None:
    with closing(sqlite3.connect(shop)) as connection:
        (year,) = connection.execute("SELECT sum(quantity * unit_cents) FROM orders").fetchone()

    assert sum(report.build(SALES, f"2025-{month:02}", tmp_path) for month in range(1, 13)) == year


def test_a_backup_equals_its_source_and_notes_its_checksum(shop: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copies" / "shop.sqlite3"

    checksum = backup.back_up(shop, copy)

    assert backup.verify(copy, shop) == checksum
    assert copy.with_name("shop.sqlite3.sha256").read_text().strip() == checksum


def test_a_copy_that_lost_a_row_is_refused(shop: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.sqlite3"
    backup.back_up(shop, copy)
    with closing(sqlite3.connect(copy)) as connection:
        connection.execute("DELETE FROM orders WHERE number = 1001")
        connection.commit()

    with pytest.raises(backup.BadCopy, match="rows"):
        backup.verify(copy, shop)


def test_a_copy_with_a_changed_row_is_refused(shop: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.sqlite3"
    backup.back_up(shop, copy)
    with closing(sqlite3.connect(copy)) as connection:
        connection.execute("UPDATE orders SET quantity = quantity + 1 WHERE number = 1001")
        connection.commit()

    with pytest.raises(backup.BadCopy, match="but others"):
        backup.verify(copy, shop)


def test_only_old_files_that_match_are_removed(tmp_path: Path) -> None:
    for name, age_days in (("a.tmp", 9), ("b.tmp", 1), ("c.txt", 9)):
        path = tmp_path / name
        path.touch()
        os.utime(path, (time.time() - age_days * 86400,) * 2)

    removed = cleaning.clean(tmp_path, "*.tmp", timedelta(days=7))

    assert removed == ["a.tmp"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.tmp", "c.txt"]


def test_a_receipt_arrives_once_however_often_it_is_sent(shop: Path, tmp_path: Path) -> None:
    sink = MailSink(tmp_path / "mail")
    sink.start()
    try:
        addresses = [mail.send_receipt(shop, 1001, sink.address) for _ in range(2)]
    finally:
        sink.stop()

    (kept,) = (tmp_path / "mail").iterdir()
    message = message_from_bytes(kept.read_bytes(), policy=modern)
    order = database.read_order(shop, 1001)
    assert addresses == [order.email] * 2
    assert order.email in message["To"]
    assert report.euros(order.total_cents) in message.get_content()


def test_a_receipt_for_an_unknown_order_is_not_sent(shop: Path) -> None:
    with pytest.raises(LookupError, match="no order 1"):
        mail.send_receipt(shop, 1, "127.0.0.1:1")


def test_mail_to_a_server_that_is_not_there_fails(shop: Path) -> None:
    with pytest.raises((OSError, smtplib.SMTPException)):
        mail.send_receipt(shop, 1001, "127.0.0.1:1")


def test_the_courier_answers_at_the_second_attempt(tmp_path: Path) -> None:
    with pytest.raises(courier.CourierBusy):
        courier.book(1001, 1, tmp_path)

    assert "attempt 2" in courier.book(1001, 2, tmp_path).read_text()


def test_a_heartbeat_notes_how_late_it_came(tmp_path: Path) -> None:
    diary = tmp_path / "heartbeat.csv"

    late = heartbeat.beat(datetime.now(UTC) - timedelta(seconds=2), diary)

    assert 2 <= late < 60
    assert diary.read_text().count("\n") == 1
