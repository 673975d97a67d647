"""Receipts by mail."""

import smtplib
from email.message import EmailMessage
from pathlib import Path

from examples.shop import database
from examples.shop.report import euros


def send_receipt(shop: Path, number: int, server: str) -> str:
    """Send the receipt of an order through the SMTP server `host:port`, and return the address it went to."""
    order = database.read_order(shop, number)
    host, port = server.rsplit(":", 1)
    with smtplib.SMTP(host, int(port), timeout=10) as smtp:
        smtp.send_message(receipt(order))
    return order.email


def receipt(order: database.Order) -> EmailMessage:
    """Write the mail. Its Message-ID depends on the order alone: a second delivery is recognised as the same mail."""
    message = EmailMessage()
    message["From"] = "The shop <shop@example.org>"
    message["To"] = f"{order.name} <{order.email}>"
    message["Subject"] = f"Your receipt for order {order.number}"
    message["Message-ID"] = f"<receipt.{order.number}@shop.example.org>"
    message.set_content(
        f"Dear {order.name},\n\n"
        f"thank you for your order of {order.date}:\n\n"
        f"    {order.quantity} x {order.product}, {euros(order.unit_cents)} each\n"
        f"    Total: {euros(order.total_cents)}\n\n"
        "The shop\n"
    )
    return message
