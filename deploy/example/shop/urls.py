# mypy: disable-error-code="import-untyped"
"""Where the pages are."""

from django.urls import path

from . import views

urlpatterns = [
    path("", views.index),
    path("cached", views.cached),
    path("report", views.report),
    path("task", views.task),
    path("nodes", views.nodes),
]
