"""The shop's SQLite database: customers and their orders."""

import csv
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

_TABLES = """
CREATE TABLE customers (email TEXT PRIMARY KEY, name TEXT NOT NULL, country TEXT NOT NULL);
CREATE TABLE orders (
  number INTEGER PRIMARY KEY, date TEXT NOT NULL, email TEXT NOT NULL REFERENCES customers,
  product TEXT NOT NULL, quantity INTEGER NOT NULL, unit_cents INTEGER NOT NULL
);
"""


@dataclass(frozen=True, slots=True)
class Order:
    """One order, as its receipt shows it."""

    number: int
    date: str
    name: str
    email: str
    product: str
    quantity: int
    unit_cents: int

    @property
    def total_cents(self) -> int:
        return self.quantity * self.unit_cents


def fill(database: Path, sales: Path) -> None:
    """Make the database from the list of sales, unless it is there already."""
    if database.exists():
        return
    database.parent.mkdir(parents=True, exist_ok=True)
    unfinished = database.with_suffix(".unfinished")
    unfinished.unlink(missing_ok=True)
    with closing(sqlite3.connect(unfinished)) as connection, sales.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
        connection.executescript(_TABLES)
        connection.executemany("INSERT INTO customers VALUES (:email, :name, :country)", rows)
        connection.executemany(
            "INSERT INTO orders VALUES (:order, :date, :email, :product, :quantity, :unit_cents)", rows
        )
        connection.commit()
    unfinished.replace(database)


def read_order(database: Path, number: int) -> Order:
    """Return one order, or raise `LookupError`."""
    query = """
        SELECT number, date, name, email, product, quantity, unit_cents
        FROM orders JOIN customers USING (email) WHERE number = ?
    """
    with closing(sqlite3.connect(database)) as connection:
        row = connection.execute(query, (number,)).fetchone()
    if row is None:
        raise LookupError(f"the shop has no order {number}")
    return Order(*row)
