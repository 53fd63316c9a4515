"""Authors, books and loans."""

from django.db import models

GENRES = (
    "adventure",
    "children",
    "crime",
    "history",
    "horror",
    "novel",
    "play",
    "poetry",
    "science fiction",
    "travel",
)


class Author(models.Model):
    """Who wrote books."""

    name = models.CharField(max_length=100)
    born = models.IntegerField("year of birth", help_text="Four digits.")

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class Book(models.Model):
    """One book of the library."""

    title = models.CharField(max_length=200)
    author = models.ForeignKey(Author, on_delete=models.PROTECT, related_name="books")
    genre = models.CharField(max_length=20, choices=[(genre, genre.capitalize()) for genre in GENRES])
    isbn = models.CharField("ISBN", max_length=13, unique=True)
    published = models.DateField()
    pages = models.PositiveIntegerField(null=True, blank=True)
    available = models.BooleanField(default=True)

    class Meta:
        ordering = ("title",)

    def __str__(self) -> str:
        return self.title


class Loan(models.Model):
    """A reader has or had a book."""

    book = models.ForeignKey(Book, on_delete=models.CASCADE, related_name="loans")
    reader = models.CharField(max_length=100)
    email = models.EmailField(blank=True)
    lent_on = models.DateField()
    due_on = models.DateField()
    returned = models.BooleanField(default=False)
    note = models.TextField(blank=True)

    class Meta:
        ordering = ("-lent_on",)

    def __str__(self) -> str:
        return f"{self.book}, {self.reader}"
