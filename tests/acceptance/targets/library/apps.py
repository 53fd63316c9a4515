"""The app's name."""

from django.apps import AppConfig


class LibraryConfig(AppConfig):
    """The app `library`."""

    name = "tests.acceptance.targets.library"
    label = "library"
