"""The tasks. Their argument is the key of a row, and the task reads the row when it runs."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from django.db import close_old_connections

from examples.django_orders.models import Order
from examples.django_orders.queue import app

P = ParamSpec("P")
R = TypeVar("R")


def with_database(function: Callable[P, R]) -> Callable[P, R]:
    """Close connections that are broken or too old, as Django itself does around each request."""

    @wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        close_old_connections()
        try:
            return function(*args, **kwargs)
        finally:
            close_old_connections()

    return wrapped


@app.task("order:ship", retention="1h")
@with_database
def ship(order: int) -> str:  # a def, because Django's ORM blocks
    found = Order.objects.get(pk=order)
    found.shipped = True
    found.save(update_fields=["shipped"])
    return f"{found.product} is on its way"
