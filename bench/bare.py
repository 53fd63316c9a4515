"""The rival of ``bench.accept``: the least that a Flask endpoint in front of Celery on Redis can be."""

import os

from celery import Celery
from flask import Flask, Response, jsonify, request

celery = Celery("bare", broker=os.environ["BARE_REDIS_URL"], backend=os.environ["BARE_REDIS_URL"])


@celery.task(name="bare.ping")
def ping(message: str) -> dict[str, str]:
    """Return the message."""
    return {"message": message}


def create_app() -> Flask:
    """Return an application with one endpoint, which validates nothing and keeps nothing."""
    app = Flask("bare")

    @app.post("/accept")
    def accept() -> tuple[Response, int]:
        return jsonify(id=ping.apply_async(args=(request.get_json()["message"],)).id), 202

    return app
