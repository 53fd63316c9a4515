"""What publications and rollbacks are asked and what they answer. Light to import: the web process loads this."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from tasks.core.publishing_file import DEFAULT_TARGET
from tasks.core.spec import FAST, Contract, JobSpec, Option, Queue, Retention
from tasks.core.web_url import WebURL
from tasks.publishing.caches import Tag
from tasks.publishing.origins import Source, Subfolder
from tasks.publishing.recipes import COPY, RECIPES, RecipeName

SITE = "publishing.site"
ROLLBACK = "publishing.rollback"
PURGE = "publishing.purge"
SITE_PUBLISHED = "site.published"
"""The domain event at the end of both: site, job_id, release, previous, url, target, cause (``publish`` or
``rollback``), added, changed, removed, forms_changed (counts) and paths (of what is new, changed or gone, at most 100;
the rest in the artifact)."""
CHANGES_NAME = "changes.json"
CHECKS_NAME = "checks.json"
MAX_FINDINGS = 50
MAX_URLS_TOLD = 1000
MAX_URLS_BYTES = 64 * 1024
MAX_FORM_URLS = 99
DAY_S = 86_400

SITE_NAME = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
SiteName = Annotated[str, Field(pattern=SITE_NAME, description="Small letters, digits and dashes.")]
ReleaseName = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="A release: the SHA-256 of its manifest.")]
TargetName = Annotated[str, Field(max_length=63, description="Where it lies, by the operator's name for it.")]
Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_URLs = Annotated[tuple[Annotated[str, Field(max_length=4096)], ...], Field(max_length=MAX_URLS_TOLD)]
ChangedURLs = Annotated[
    _URLs | None,
    Field(
        description="Addresses of pages that are new or changed. Null: the site's address is not known, or they are "
        f"more than {MAX_URLS_TOLD} pages, or {MAX_URLS_BYTES // 1024} KiB; all paths are in the artifact "
        f"`{CHANGES_NAME}`."
    ),
]
RemovedURLs = Annotated[_URLs | None, Field(description="Addresses of pages that are gone; null as above.")]
FormURLs = Annotated[
    _URLs | None,
    Field(
        description="Addresses of pages whose forms are new, others or gone. Null: the site's address is not known, or "
        f"they are more than {MAX_FORM_URLS}."
    ),
]
FormsChanged = Annotated[int, Field(ge=0, description="Pages whose forms are new, others or gone.")]


class Stage(StrEnum):
    """The stages of a publication, in order. ``waiting`` is before the first, while another job has the site."""

    WAITING = "waiting"
    VALIDATING = "validating"
    BUILDING = "building"
    PACKAGING = "packaging"
    UPLOADING = "uploading"
    ACTIVATING = "activating"
    WARMING = "warming"
    VERIFYING = "verifying"
    ANNOUNCING = "announcing"


class Fault(StrEnum):
    """What a check can find."""

    BROKEN_LINK = "broken_link"
    """A link to a page of this site that is not there."""
    MISSING_ASSET = "missing_asset"
    """A style sheet, script or picture of this site that a page needs and that is not there."""
    BAD_HTML = "bad_html"
    """A page that is no HTML, or not in the encoding that it says."""
    TOO_LARGE = "too_large"
    """A file over ``max_file_bytes``."""
    HEAVY_PAGE = "heavy_page"
    """A page that with all it needs is over ``max_page_bytes`` or ``max_page_requests``."""
    OVER_BUDGET = "over_budget"
    """A page that needs more of one kind of file than one of the ``budgets`` has for it."""
    SECRET = "secret"  # noqa: S105  # a word, not one
    """A private key, a token or a file that is never meant for visitors."""


class ImageOptions(Contract):
    """Smaller copies of the pictures that pages show; a browser takes the one that suits its screen."""

    widths: Annotated[tuple[Annotated[int, Field(ge=16, le=8192)], ...], Field(min_length=1, max_length=8)] = Field(
        (480, 960, 1920), description="In pixels; and a picture's own width, in other formats. None is made larger."
    )
    formats: Annotated[tuple[Literal["avif", "webp"], ...], Field(min_length=1, max_length=2)] = Field(
        ("avif", "webp"), description="The first that a browser can show is taken."
    )
    quality: int = Field(70, ge=1, le=100, description="By the scale of the encoders; 100 is the best.")
    sizes: str = Field(
        "100vw",
        pattern=r"^[^<>\"&]{1,200}$",
        description="How wide pages show pictures (HTML's `sizes`), where an `img` has neither `sizes` nor `width`.",
    )


class Resource(StrEnum):
    """What a page needs, by kind."""

    HTML = "html"
    STYLE = "style"
    SCRIPT = "script"
    IMAGE = "image"
    FONT = "font"
    OTHER = "other"
    TOTAL = "total"
    """All of them together."""


class PageBudget(Contract):
    """What some pages may need at most; what it does not name has no limit."""

    pages: str = Field(
        "*", min_length=1, max_length=1024, description="Their paths, such as `blog/*`; `*` stands for anything."
    )
    bytes: dict[Resource, Annotated[int, Field(ge=0, le=2**40)]] = Field(
        {}, description="Of all files of a kind, each in its smallest form.", examples=[{"script": 150_000}]
    )
    requests: dict[Resource, Annotated[int, Field(ge=0, le=100_000)]] = Field(
        {}, description="How many files of a kind.", examples=[{"font": 2, "total": 30}]
    )


class PublishOptions(Contract):
    """What is done to the files, and what ends the publication. The defaults suit nearly every site."""

    minify: bool = Field(True, description="Write HTML, CSS and JavaScript smaller.")
    fingerprint: bool = Field(True, description="Name assets by their content, so that browsers keep them for a year.")
    compress: bool = Field(True, description="Keep each text as brotli and gzip, too.")
    generate: bool = Field(
        True,
        description="Add what is missing: `sitemap.xml`, `robots.txt`, `404.html`, `actions.json`, speculation rules "
        "and preload hints.",
    )
    images: ImageOptions | None = Field(
        None,
        description="Offer JPEG and PNG pictures of pages in several widths and formats, too: each `img` gets a "
        "`picture` around it. Null: they stay as they are.",
    )
    refuse: Annotated[tuple[Fault, ...], Field(max_length=len(Fault))] = Field(
        (Fault.SECRET,), description="Findings that end the publication before anything is live; others are told."
    )
    max_file_bytes: int = Field(64 * 2**20, ge=1, le=2**40)
    max_page_bytes: int | None = Field(None, ge=1, le=2**40, description="Of a page and what it loads, compressed.")
    max_page_requests: int | None = Field(None, ge=1, le=100_000)
    budgets: Annotated[tuple[PageBudget, ...], Field(max_length=20)] = Field(
        (), description="What pages may need by kind of file: each that a page's path meets holds for it."
    )


class SiteRequest(Contract):
    """Publish a site: from an uploaded archive (zip, tar, tar.gz, tar.zst), a list of files, a server's folder or git.

    With a `recipe` the source is not the site itself, but what a generator makes it of.
    """

    site: SiteName
    source: Source
    recipe: RecipeName = COPY
    subfolder: Subfolder = ""
    intent: Literal["production", "preview"] = Field(
        "production", description="A preview is kept and can be made live later, as it is (`publishing.rollback`)."
    )
    url: WebURL | None = Field(
        None,
        description="Where visitors find the site. Then it is warmed and verified there, and gets a sitemap. If "
        "absent: as the last time.",
    )
    smoke: Literal["none", "browser"] = Field(
        "none",
        description="`browser`: once it is live, a browser opens the first page and some that have changed; an error "
        "takes the release back. Needs `url`, and a worker with Chromium.",
    )
    by: str = Field("", max_length=200, description="Who or what publishes, for readers.")
    note: str = Field("", max_length=500, description="What it is, such as a commit, for readers.")
    options: PublishOptions = PublishOptions()


class RollbackRequest(Contract):
    """Make a kept release live again, or a preview: the very same bytes."""

    site: SiteName
    release: ReleaseName | None = Field(None, description="If absent: the one that was live before.")
    by: str = Field("", max_length=200, description="Who or what asks, for readers.")


class PurgeRequest(Contract):
    """Make the caches in front of a site forget some of its files, or all of them."""

    site: SiteName
    paths: Annotated[tuple[Annotated[str, Field(min_length=1, max_length=1024)], ...], Field(max_length=1000)] = Field(
        (), description="Files, such as `about.html`; of a folder's index the folder's own address, too."
    )
    tags: Annotated[tuple[Tag, ...], Field(max_length=len(Tag))] = Field(
        (), description="`all` files, or those that are `changing`. If there are neither paths nor tags: all."
    )


class Finding(Contract):
    """One thing that a check found."""

    fault: Fault
    path: str = Field(max_length=1024, description="Of the file.")
    message: str = Field(max_length=500)


class SiteResult(Contract):
    """A publication."""

    site: SiteName
    target: TargetName = DEFAULT_TARGET
    release: ReleaseName
    previous: ReleaseName | None = Field(description="What was live before; null: nothing.")
    url: str | None = Field(max_length=2048)
    live: bool = Field(description="False for a preview.")
    recipe: str = Field(COPY, max_length=50)
    commit: str | None = Field(None, max_length=64, description="Of the git repository that it was made of.")
    files: Count
    size_bytes: Count = Field(description="Of all files as they are served uncompressed.")
    source_bytes: Count = Field(description="Of the files as they came.")
    compressed_bytes: Count = Field(description="Of all files in their smallest form.")
    added: Count
    changed: Count
    removed: Count
    changed_urls: ChangedURLs = None
    removed_urls: RemovedURLs = None
    forms_changed: FormsChanged = 0
    form_urls: FormURLs = None
    uploaded_files: Count = Field(description="Contents that the place did not have, compressed forms among them.")
    uploaded_bytes: Count
    generated: tuple[str, ...] = Field(max_length=20, description="Files that were missing and were made.")
    image_copies: Count = Field(0, description="Smaller copies of pictures that pages offer.")
    faults: dict[Fault, Count] = Field(description="How many of each were found.")
    findings: Annotated[tuple[Finding, ...], Field(max_length=MAX_FINDINGS)] = Field(
        description=f"The first {MAX_FINDINGS}; all are in the artifact `{CHECKS_NAME}`."
    )
    verified: Count = Field(description="Files that were read back as visitors get them, and have the right hash.")
    kept: Count = Field(description="Releases of the site that are kept.")
    stages: dict[Stage, Seconds] = Field(description="How long each took.")


class RollbackResult(Contract):
    """A release is live again."""

    site: SiteName
    target: TargetName = DEFAULT_TARGET
    release: ReleaseName
    previous: ReleaseName | None = Field(description="What was live before this.")
    url: str | None = Field(None, max_length=2048, description="Where visitors find the site; null: nobody knows.")
    added: Count
    changed: Count
    removed: Count
    changed_urls: ChangedURLs = None
    removed_urls: RemovedURLs = None
    forms_changed: FormsChanged = 0
    form_urls: FormURLs = None
    verified: Count
    stages: dict[Stage, Seconds]


class PurgeResult(Contract):
    """Caches have forgotten."""

    site: SiteName
    target: TargetName = DEFAULT_TARGET
    urls: Count = Field(description="That each cache was told.")
    tags: tuple[str, ...] = Field(max_length=len(Tag), description="That each cache was told, as caches know them.")
    caches: Count
    seconds: Seconds


SPECS = (
    JobSpec(
        kind=SITE,
        queue=Queue.CRITICAL,
        request=SiteRequest,
        result=SiteResult,
        summary="Publish a site: checked, made smaller, live in one step, verified, and rolled back if that fails.",
        soft_limit_s=900,
        hard_limit_s=930,
        retry=FAST,
        retention=Retention(artifacts_s=30 * DAY_S),
        capabilities=frozenset({"publishing"}),
        options=(
            Option("smoke", "browser", "chromium"),
            *(Option("recipe", name, recipe.capability) for name, recipe in RECIPES.items() if recipe.capability),
        ),
        example={"site": "docs", "source": {"upload": "01890000-0000-7000-8000-000000000000"}},
    ),
    JobSpec(
        kind=ROLLBACK,
        queue=Queue.CRITICAL,
        request=RollbackRequest,
        result=RollbackResult,
        summary="Make a kept release of a site live again, or a preview, byte for byte.",
        soft_limit_s=300,
        hard_limit_s=330,
        retry=FAST,
        capabilities=frozenset({"publishing"}),
        example={"site": "docs"},
    ),
    JobSpec(
        kind=PURGE,
        queue=Queue.CRITICAL,
        request=PurgeRequest,
        result=PurgeResult,
        summary="Make the caches in front of a site forget single files, those that change, or all.",
        soft_limit_s=120,
        hard_limit_s=150,
        retry=FAST,
        capabilities=frozenset({"publishing"}),
        example={"site": "docs", "paths": ["index.html"]},
    ),
)
