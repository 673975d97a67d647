"""The app. It knows the modules with tasks, and they do not know it: `rota worker examples.routers.app`."""

from examples.routers import emails, orders
from rota import Rota

app = Rota(settings={"queues": {"mail": 1, "default": 2}})
app.include(emails.tasks, prefix="email:", queue="mail", retry=8)
app.include(orders.tasks, prefix="order:")
