from django.apps import AppConfig


class Shop(AppConfig):
    name = "examples.own_store_django"

    def ready(self):
        from . import store  # noqa: F401 - its receivers, in every process that saves models: the admin's too
