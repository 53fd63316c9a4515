"""The admin's lists, with the options that its documentation explains."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from tests.acceptance.targets.library.models import Author, Book, Loan


@admin.register(Author)
class AuthorAdmin(admin.ModelAdmin):
    """Authors by name."""

    list_display = ("name", "born")
    search_fields = ("name",)


@admin.register(Book)
class BookAdmin(admin.ModelAdmin):
    """Books, with everything that a list can have."""

    list_display = ("title", "author", "genre", "published", "available")
    list_filter = ("genre", "available", "author")
    search_fields = ("title", "author__name", "isbn")
    date_hierarchy = "published"
    list_per_page = 25
    autocomplete_fields = ("author",)


@admin.register(Loan)
class LoanAdmin(admin.ModelAdmin):
    """Loans, which can be ended in one go."""

    list_display = ("book", "reader", "lent_on", "due_on", "returned")
    list_filter = ("returned", "due_on")
    search_fields = ("book__title", "reader")
    list_per_page = 50
    autocomplete_fields = ("book",)
    actions = ("mark_returned",)

    @admin.action(description="Mark selected loans as returned")
    def mark_returned(self, request: HttpRequest, queryset: QuerySet[Loan]) -> None:
        """End the loans."""
        self.message_user(request, f"{queryset.update(returned=True)} loans marked as returned.")
