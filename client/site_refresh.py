"""What follows a publication or a rollback, so that searches and tools know what has changed."""

from typing import Any


def refreshed(**crawl: Any) -> dict[str, Any]:
    """Return a follow-up for ``on_success`` of ``publishing.site`` and ``publishing.rollback``.

    Exactly the pages that changed are crawled and taken into the site's documents; then, where forms have changed, the
    pages with these are looked at for tools. Nothing follows where nobody knows the site's address.

    Args:
        crawl: other fields of ``crawling.site``, such as ``delay_s``.
    """
    tools = {
        "kind": "discovery.site",
        "when": "/parent/parent/result/forms_changed",
        "params": {
            "url": {"$from": "/parent/parent/result/url"},
            "urls": {"$from": "/parent/parent/result/form_urls"},
            "max_tools": 100,
            "max_pages": 100,
            "force": True,
        },
    }
    known = {
        "kind": "knowledge.update",
        "params": {
            "crawl_job_id": {"$from": "/job/id"},
            "site": {"$from": "/parent/result/site"},
            "delete": {"$from": "/parent/result/removed_urls", "default": []},
        },
        "on_success": tools,
    }
    asked = {"url": {"$from": "/result/url"}, "urls": {"$from": "/result/changed_urls"}}
    return {"kind": "crawling.site", "when": "/result/url", "params": {**asked, **crawl}, "on_success": known}
