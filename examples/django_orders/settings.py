"""The settings of the project: as few as it needs."""

import os
from pathlib import Path

SECRET_KEY = "only for the example"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "examples.django_orders.urls"
INSTALLED_APPS = ["examples.django_orders"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("ORDERS_DATABASE", Path.cwd() / "orders.sqlite3"),
    }
}
