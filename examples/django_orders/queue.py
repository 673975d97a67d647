"""The app. It sets up Django, so that a worker can import models.

The worker is started with `rota worker examples.django_orders.queue:app examples.django_orders.tasks`.
"""

import os

import django
from django.apps import apps

from rota import Rota

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "examples.django_orders.settings")
if not apps.ready:  # in a web process, and in manage.py, Django has done this
    django.setup()

app = Rota()
