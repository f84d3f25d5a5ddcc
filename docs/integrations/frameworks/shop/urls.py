from django.urls import path
from shop import views

from qeetid_authz.frameworks.django import requires

urlpatterns = [
    path("invoices", views.bill),
    path("later", views.bill_later),
    path("bills", requires("billing:write")(views.Bills.as_view())),
    path("api/invoices", views.Invoices.as_view()),
]
