"""The page types and the snippet of Wagtail's tutorial and of its form builder's documentation."""

from typing import Any

from django import forms
from django.db import models
from django.http import HttpRequest
from modelcluster.contrib.taggit import ClusterTaggableManager
from modelcluster.fields import ParentalKey, ParentalManyToManyField
from taggit.models import TaggedItemBase
from wagtail.admin.panels import FieldPanel, InlinePanel, MultiFieldPanel
from wagtail.api import APIField
from wagtail.contrib.forms.models import AbstractEmailForm, AbstractFormField
from wagtail.fields import RichTextField
from wagtail.models import Page
from wagtail.search import index
from wagtail.snippets.models import register_snippet


@register_snippet
class Author(models.Model):
    """Who writes posts."""

    name = models.CharField(max_length=255)

    panels = ["name"]

    class Meta:
        verbose_name_plural = "Authors"

    def __str__(self) -> str:
        return self.name


class BlogIndexPage(Page):
    """All posts, the newest first."""

    intro = RichTextField(blank=True)

    content_panels = [*Page.content_panels, "intro"]
    api_fields = [APIField("intro")]

    def get_context(self, request: HttpRequest) -> dict[str, Any]:
        """Add the published posts."""
        context: dict[str, Any] = super().get_context(request)
        context["blogpages"] = self.get_children().live().order_by("-first_published_at")
        return context


class BlogPageTag(TaggedItemBase):
    """A post has a tag."""

    content_object = ParentalKey("BlogPage", related_name="tagged_items", on_delete=models.CASCADE)


class BlogTagIndexPage(Page):
    """The posts with the tag that the address names."""

    def get_context(self, request: HttpRequest) -> dict[str, Any]:
        """Add the tagged posts."""
        context: dict[str, Any] = super().get_context(request)
        context["blogpages"] = BlogPage.objects.live().filter(tags__name=request.GET.get("tag"))
        return context


class BlogPage(Page):
    """One post."""

    date = models.DateField("Post date")
    intro = models.CharField(max_length=250)
    body = RichTextField(blank=True)
    authors = ParentalManyToManyField("blog.Author", blank=True)
    tags = ClusterTaggableManager(through=BlogPageTag, blank=True)

    search_fields = [*Page.search_fields, index.SearchField("intro"), index.SearchField("body")]
    content_panels = [
        *Page.content_panels,
        MultiFieldPanel(["date", FieldPanel("authors", widget=forms.CheckboxSelectMultiple), "tags"], heading="About"),
        "intro",
        "body",
    ]
    api_fields = [APIField("date"), APIField("intro"), APIField("body")]


class FormField(AbstractFormField):
    """A field of a form page."""

    page = ParentalKey("FormPage", on_delete=models.CASCADE, related_name="form_fields")


class FormPage(AbstractEmailForm):
    """A form that editors build."""

    intro = RichTextField(blank=True)
    thank_you_text = RichTextField(blank=True)

    content_panels = [
        *AbstractEmailForm.content_panels,
        "intro",
        InlinePanel("form_fields", label="Form fields"),
        "thank_you_text",
    ]
    api_fields = [APIField("form_fields")]
