"""The work of publishing; knows neither Flask, Celery, Redis nor SQL."""
