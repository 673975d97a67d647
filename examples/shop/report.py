"""The month's sales as a page and as a table."""

import csv
from collections import Counter
from collections.abc import Iterator
from html import escape
from pathlib import Path

from examples.shop.files import replaced

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Sales in {month}</title>
<style>
  body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 44rem; margin: 3rem auto; padding: 0 1rem }}
  td {{ padding: .2rem .8rem .2rem 0 }} td:nth-child(2) {{ text-align: right }}
  i {{ display: inline-block; height: .8rem; background: #c76b3c }}
</style>
<h1>Sales in {month}</h1>
<p>{orders} orders, <b>{total}</b> in all.</p>
{tables}
</html>
"""


def build(sales: Path, month: str, folder: Path) -> int:
    """Write `sales-<month>.html` and `.csv` into the folder, and return the month's total in cents."""
    products: Counter[str] = Counter()
    countries: Counter[str] = Counter()
    orders = 0
    for row in read_month(sales, month):
        cents = int(row["quantity"]) * int(row["unit_cents"])
        products[row["product"]] += cents
        countries[row["country"]] += cents
        orders += 1
    _write_page(folder / f"sales-{month}.html", month, orders, {"Product": products, "Country": countries})
    _write_table(folder / f"sales-{month}.csv", products)
    return products.total()


def read_month(sales: Path, month: str) -> Iterator[dict[str, str]]:
    """Yield the sales of a month such as `2025-03`."""
    with sales.open(newline="", encoding="utf-8") as file:
        yield from (row for row in csv.DictReader(file) if row["date"].startswith(f"{month}-"))


def euros(cents: int) -> str:
    return f"{cents / 100:,.2f} €"


def _write_page(target: Path, month: str, orders: int, groups: dict[str, Counter[str]]) -> None:
    total = euros(groups["Product"].total())
    tables = "\n".join(_table(title, group) for title, group in groups.items())
    with replaced(target) as unfinished:
        page = _PAGE.format(month=escape(month), orders=orders, total=total, tables=tables)
        unfinished.write_text(page, encoding="utf-8")


def _table(title: str, sums: Counter[str]) -> str:
    most = max(sums.values(), default=1)
    rows = (
        f'<tr><td>{escape(name)}<td>{euros(cents)}<td><i style="width: {cents / most * 14:.1f}rem"></i>'
        for name, cents in sums.most_common()
    )
    return f"<h2>{title}</h2>\n<table>\n" + "\n".join(rows) + "\n</table>"


def _write_table(target: Path, sums: Counter[str]) -> None:
    with replaced(target) as unfinished, unfinished.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["product", "cents"])
        rows.writerows(sums.most_common())
