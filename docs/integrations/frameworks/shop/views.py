from typing import Any

from django.http import HttpRequest, HttpResponse
from django.views import View
from rest_framework.response import Response
from rest_framework.views import APIView

from qeetid_authz.frameworks import drf
from qeetid_authz.frameworks.django import requires


@requires("billing:write")
def bill(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"billed by {request.principal.id}")


@requires("billing:write")
async def bill_later(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"billed by {request.principal.id}")


class Bills(View):
    def post(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse(f"billed by {request.principal.id}")


class Invoices(APIView):
    permission_classes = (drf.requires("billing:write"),)

    def post(self, request: Any) -> Response:
        return Response(f"billed by {request.auth.id}")
