"""An order, as Django stores it."""

from django.db import models


class Order(models.Model):
    """An order that can be shipped."""

    product = models.CharField(max_length=100)
    shipped = models.BooleanField(default=False)
