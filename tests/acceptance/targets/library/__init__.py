"""A Django project with one app, as the tutorial has it: a library's authors, books and loans in Django's own admin."""
