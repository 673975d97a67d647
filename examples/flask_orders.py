"""Flask: enqueue in a request from blocking code. The worker is a program of its own.

`flask --app examples.flask_orders:web run` and `rota worker examples.flask_orders:app`.
"""

from flask import Flask, abort

from rota import Rota, TaskNotFound

app = Rota()


@app.task("order:ship", retention="1h")
def ship(order: int) -> str:
    return f"order {order} is on its way"


web = Flask(__name__)


@web.post("/orders/<int:order>/ship")
def ship_order(order: int) -> tuple[dict[str, str], int]:
    job = ship.enqueue_sync(order)  # threads and requests share the connections of the app
    return {"task": job.id}, 202


@web.get("/tasks/<task_id>")
def show_task(task_id: str) -> dict[str, str]:
    try:
        info = ship.job_sync(task_id).info()
    except TaskNotFound:
        abort(404, "There is no such task.")
    return {"state": info.state, "result": info.result.decode()}
