"""Bodies, read at the edge."""

import json

from app.inputs import Input, read_object
from tasks.maintenance.contract import PingRequest


class Named(Input):
    """A body of one field."""

    name: str


def test_nothing_that_a_body_says_is_kept_for_the_next_one() -> None:
    """Each reading makes its own texts: none lies in a cache, where thousands of senders' would stay."""
    body = {"name": "what only one sender ever writes"}
    sent = json.dumps(body).encode()
    assert read_object(sent) == read_object(sent) == body
    assert read_object(sent)["name"] is not read_object(sent)["name"]
    assert Named.model_validate_json(sent).name is not Named.model_validate_json(sent).name
    asked = json.dumps({"message": body["name"]}).encode()
    assert PingRequest.model_validate_json(asked).message is not PingRequest.model_validate_json(asked).message
