"""The application for a WSGI server; it serves the static files too."""

import os

from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.acceptance.targets.library.settings")

application = StaticFilesHandler(get_wsgi_application())
