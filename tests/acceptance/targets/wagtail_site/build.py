"""Fill the database of a new project: `python -m tests.acceptance.targets.wagtail_site.build`, in `TARGET_FOLDER`."""

import io
import os
from datetime import date, timedelta

import django
from django.core.files.base import ContentFile
from django.core.files.images import ImageFile
from django.core.management import call_command
from PIL import Image as Picture

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.acceptance.targets.wagtail_site.settings")
django.setup()

from django.contrib.auth.models import User  # noqa: E402  # Django must be set up before models are loaded
from django.db import transaction  # noqa: E402  # as above
from wagtail.contrib.redirects.models import Redirect  # noqa: E402  # as above
from wagtail.documents.models import Document  # noqa: E402  # as above
from wagtail.images.models import Image  # noqa: E402  # as above
from wagtail.models import Page  # noqa: E402  # as above

from tests.acceptance.targets import content  # noqa: E402  # as above
from tests.acceptance.targets.wagtail_site.blog import models as blog  # noqa: E402  # as above

FIRST_POST = date(2025, 2, 3)


@transaction.atomic
def fill() -> None:
    """Write the site's content."""
    editor = User.objects.create_superuser("editor", "editor@example.org", os.environ["TARGET_PASSWORD"])
    User.objects.create_user("contributor", "contributor@example.org", first_name="Chen", last_name="Li")
    home = Page.objects.get(slug="home")
    home.title = "Reading notes"
    home.save()
    _blog(home, owner=editor)
    home.add_child(instance=blog.BlogTagIndexPage(title="Tags", slug="tags"))
    _contact(home)
    for number, colour in enumerate(("navy", "maroon", "olive", "teal"), start=1):
        picture = io.BytesIO()
        Picture.new("RGB", (400, 300), colour).save(picture, "PNG")
        Image.objects.create(title=f"Cover in {colour}", file=ImageFile(picture, name=f"cover-{number}.png"))
    for title in ("House rules", "Opening hours"):
        file = ContentFile(f"{title} of the library.\n".encode(), name=f"{title}.txt")
        Document.objects.create(title=title, file=file)
    Redirect.objects.create(old_path="/news", redirect_page=home.get_children().get(slug="blog"))


def _blog(home: Page, *, owner: User) -> None:
    index = home.add_child(
        instance=blog.BlogIndexPage(title="Blog", slug="blog", show_in_menus=True, intro="<p>One book at a time.</p>")
    )
    authors = [blog.Author.objects.create(name=name) for name in content.READERS[:3]]
    for book in (book for book in content.books() if book.genre != "novel"):
        post = blog.BlogPage(
            title=f"Notes on {book.title}",
            date=FIRST_POST + timedelta(days=book.number),
            intro=f"{book.author}, {book.year}: what stays after reading.",
            body=f"<p>A {book.genre} of {book.pages} pages, first printed in {book.year}.</p>",
            search_description=f"{book.title} by {book.author}",
            owner=owner,
        )
        index.add_child(instance=post)
        post.tags.add(book.genre)
        post.authors.add(authors[book.number % len(authors)])
        post.save_revision().publish()
    index.add_child(instance=blog.BlogPage(title="Not yet finished", date=FIRST_POST, intro="A draft.", live=False))


def _contact(home: Page) -> None:
    page = blog.FormPage(title="Contact", slug="contact", show_in_menus=True, thank_you_text="<p>Thank you.</p>")
    kinds = {"Your name": "singleline", "Your email": "email", "Message": "multiline"}
    page.form_fields = [blog.FormField(label=label, field_type=kind) for label, kind in kinds.items()]
    home.add_child(instance=page)
    page.get_submission_class().objects.create(
        page=page, form_data={"your_name": "Dora", "your_email": "dora@example.org", "message": "More crime, please."}
    )


if __name__ == "__main__":
    call_command("migrate", verbosity=0)
    fill()
