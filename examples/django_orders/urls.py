"""The views of the project."""

from functools import partial

from django.db import transaction
from django.http import Http404, HttpRequest, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from examples.django_orders.models import Order
from examples.django_orders.tasks import ship
from rota import TaskNotFound


@csrf_exempt
@require_POST
def order_product(request: HttpRequest, product: str) -> JsonResponse:
    with transaction.atomic():
        order = Order.objects.create(product=product)
        # After the commit: a worker that is faster than the commit would not find the row.
        transaction.on_commit(partial(ship.options(task_id=f"ship-{order.pk}").enqueue_sync, order.pk))
    return JsonResponse({"order": order.pk, "task": f"ship-{order.pk}"}, status=202)


def show_task(request: HttpRequest, task_id: str) -> JsonResponse:
    try:
        info = ship.job_sync(task_id).info()
    except TaskNotFound as error:
        raise Http404("There is no such task.") from error
    return JsonResponse({"state": info.state, "result": info.result.decode()})


urlpatterns = [path("orders/<str:product>", order_product), path("tasks/<str:task_id>", show_task)]
