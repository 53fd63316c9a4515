"""Make the database: `python -m tests.acceptance.targets.library.build`, with the folder in the environment."""

import os
from datetime import date

import django
from django.core.management import call_command

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.acceptance.targets.library.settings")
django.setup()

from django.contrib.auth.models import User  # noqa: E402  # Django must be set up before models are loaded
from django.db import transaction  # noqa: E402  # as above

from tests.acceptance.targets import content  # noqa: E402  # as above
from tests.acceptance.targets.library.models import Author, Book, Loan  # noqa: E402  # as above


@transaction.atomic
def fill() -> None:
    """Write the library's content."""
    User.objects.create_superuser("librarian", "librarian@example.org", os.environ["TARGET_PASSWORD"])
    User.objects.create_user("assistant", "assistant@example.org", is_staff=True)
    authors = {book.author: Author(name=book.author, born=book.born) for book in content.books()}
    Author.objects.bulk_create(authors.values())
    books = [
        Book(
            title=book.title,
            author=authors[book.author],
            genre=book.genre,
            isbn=book.isbn,
            published=date(book.year, 1 + book.number % 12, 1),
            pages=book.pages,
            available=book.is_available,
        )
        for book in content.books()
    ]
    Book.objects.bulk_create(books)
    Loan.objects.bulk_create(
        Loan(
            book=books[loan.book - 1],
            reader=loan.reader,
            email=f"{loan.reader.split()[0].lower()}@example.org",
            lent_on=loan.lent_on,
            due_on=loan.due_on,
            returned=loan.is_returned,
        )
        for loan in content.loans()
    )


if __name__ == "__main__":
    call_command("migrate", verbosity=0)
    fill()
