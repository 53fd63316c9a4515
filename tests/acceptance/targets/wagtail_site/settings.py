"""The generated project's settings, with the blog and API v2; the project stands in `TARGET_FOLDER`."""

import os
from pathlib import Path

from mysite.settings.base import *  # noqa: F403  # as the generated dev.py and production.py do
from mysite.settings.base import INSTALLED_APPS as PROJECT_APPS
from mysite.settings.base import TEMPLATES

SECRET_KEY = "only ever on loopback, with invented data"
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
INSTALLED_APPS = ["tests.acceptance.targets.wagtail_site.blog", "wagtail.api.v2", "rest_framework", *PROJECT_APPS]
ROOT_URLCONF = "tests.acceptance.targets.wagtail_site.urls"
TEMPLATES[0]["DIRS"] = [Path(__file__).parent / "templates", *TEMPLATES[0]["DIRS"]]
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
WAGTAIL_SITE_NAME = "Reading notes"
WAGTAILADMIN_BASE_URL = os.environ.get("TARGET_URL", "http://127.0.0.1")
# Both would ask servers elsewhere.
WAGTAIL_ENABLE_UPDATE_CHECK = False
WAGTAIL_GRAVATAR_PROVIDER_URL = None
WAGTAIL_ENABLE_WHATS_NEW_BANNER = False
