"""Tools for one of many and for whole lists, from how the addresses of links differ."""

from tasks.discovery.engine.running.form_address import at_address, open_inputs
from tasks.discovery.engine.sources import form, items, lists
from tasks.discovery.engine.sources.templates import templates
from tasks.discovery.tool import Effect, FormCall, RequestCall, Tool
from tests.discovery.sources.pages import ORIGIN, site_of, snapshot_of


def listed(*hrefs: str) -> str:
    return "<main><ul>" + "".join(f"<li><a href='{href}'>{href}</a></li>" for href in hrefs) + "</ul></main>"


BOOKS = listed(*(f"/books/{number}/change/" for number in range(1, 9)))


def paths(found: list[Tool]) -> dict[str, Tool]:
    return {one.call.url.removeprefix(ORIGIN): one for one in found if isinstance(one.call, RequestCall)}


def test_numbers_in_paths_are_things() -> None:
    """Each function of a thing is a tool, also where only one link leads to it; what deletes is none."""
    site = site_of(
        books=f"{BOOKS}<a href=/books/new/>New</a>",
        change="<a href=/books/3/history/>History</a><a href=/books/3/delete/>Delete</a>",
    )
    found = paths(items.find_tools(site))
    assert {"/books/{id}/change/", "/books/{id}/history/"} == set(found)
    change = found["/books/{id}/change/"]
    assert Effect.READ is change.effect
    assert ({"id": 1}, {"id": 2}, {"id": 3}) == change.examples


def test_titles_in_paths_are_things_and_words_are_places() -> None:
    """Five titles made into addresses are things; five words may be five functions, and what has pages below is one."""
    titles = listed("/blog/on-emma", "/blog/on-ulysses", "/blog/on-dracula", "/blog/on-walden", "/blog/on-kim")
    words = listed("/shop/cart", "/shop/help", "/shop/terms", "/shop/news", "/shop/jobs")
    deeper = listed(*(f"/data/table-{name}" for name in "abcdef"), *(f"/data/table-{name}/1" for name in "abcdef"))
    assert {"/blog/{id}"} == set(paths(items.find_tools(site_of(a=titles, b=words))))
    assert "/data/{id}" not in paths(items.find_tools(site_of(a=deeper)))


def test_a_parameter_that_differs_is_an_input() -> None:
    """Two links with different values are enough; other parameters stay."""
    found = items.find_tools(site_of(start="<a href='/t/?tag=a&v=1'>A</a> <a href='/t/?tag=b&v=1'>B</a>"))
    assert [["tag"]] == [list(one.input_schema["properties"]) for one in found]
    assert isinstance(found[0].call, RequestCall)
    assert (("v", "1"),) == found[0].call.query


def test_what_is_always_sent_is_said() -> None:
    """Else a part would be taken for the whole."""
    site = site_of(books=listed("/books?genre=crime&by=1", "/books?genre=crime&by=2", "/books?genre=crime&by=3"))
    (found,) = items.find_tools(site)
    assert found.description.endswith(" Always with genre=crime.")


def test_lists_and_their_data() -> None:
    """A page of records, its sheet with the parameters of the link as inputs, and no page of one of many."""
    table = "<table><tr><th>A<th>B</tr>" + "".join(f"<tr><td>{n}<td>{n * n}</tr>" for n in range(5)) + "</table>"
    site = site_of(books=f"{table}<a href='/books.csv?_size=max'>CSV</a>{BOOKS}")
    found = paths(lists.find_tools(site))
    assert {"/books", "/books.csv"} == set(found)
    assert "list" == found["/books"].purpose
    assert {"_size": "max"} == found["/books.csv"].examples[0]


def test_one_of_many_titles_is_no_list() -> None:
    """What hangs on one post is no list that anybody asks for; the blog is."""
    posts = [f"/blog/notes-on-book-{name}/" for name in ("ash", "elm", "fir", "oak", "yew", "bay")]
    site = site_of(blog=listed(*posts))
    post = snapshot_of(listed(*posts), path=posts[0])
    (found,) = lists.find_tools(type(site)(ORIGIN, (*site.snapshots, post), site.fetch))
    assert found.found_on == f"{ORIGIN}/blog"


def form_of_book(number: int) -> str:
    return (
        f"<form method=post><label>Title<input name=title value='Book {number}' required></label>"
        "<button>Save</button></form>"
    )


def test_a_form_of_one_thing_is_a_tool_for_each() -> None:
    """The thing is an input; what the form holds of this one is no default for another, and need not be given."""
    site = site_of(books=BOOKS)
    page = snapshot_of(form_of_book(3), path="/books/3/change/")
    (found,) = form.find_tools(type(site)(ORIGIN, (*site.snapshots, page), site.fetch))
    assert isinstance(found.call, FormCall)
    assert f"{ORIGIN}/books/{{id}}/change/" == found.call.url == found.call.page_url
    assert ["id"] == found.input_schema["required"]
    assert "default" not in found.input_schema["properties"]["title"]


def test_a_form_of_one_thing_that_is_called_after_a_field_is_called_after_its_address() -> None:
    """/books/edit/3 edits a book."""
    links = "".join(f"<a href=/books/edit/{at}/>Emma {at}</a>" for at in range(1, 8))
    fields = "<h2>Name*</h2><input name=title required><input type=number name=pages><button>Save</button>"
    page = snapshot_of(f"<form method=post action=/books/edit/3/>{fields}</form>", path="/books/edit/3/")
    site = site_of(books=f"<main>{links}</main>")
    (found,) = form.find_tools(type(site)(ORIGIN, (*site.snapshots, page), site.fetch))
    assert ("edit_book", "Edit book") == (found.name, found.title)
    assert f"{ORIGIN}/books/edit/{{id}}/" == found.call.url  # type: ignore[union-attr]  # a form's call


def test_a_function_beside_things_is_none_of_them() -> None:
    """/pages/search is not one of /pages/3 and /pages/7, though it is spelt alike."""
    links = "".join(f"<a href=/pages/{at}/>Emma {at}</a>" for at in range(1, 8))
    page = snapshot_of("<form action=/pages/search/><input type=search name=q></form>", path="/pages/search/")
    site = site_of(pages=f"<main>{links}</main>")
    (found,) = form.find_tools(type(site)(ORIGIN, (*site.snapshots, page), site.fetch))
    assert ("search_pages", f"{ORIGIN}/pages/search/") == (found.name, found.call.url)  # type: ignore[union-attr]  # a list has a call


def test_a_run_puts_the_thing_into_the_address() -> None:
    """Encoded, and taken out of the arguments; other tools are left alone."""
    call = FormCall(page_url=f"{ORIGIN}/books/{{id}}/change/", url=f"{ORIGIN}/books/{{id}}/change/")
    schema = {"type": "object", "properties": {"id": {"type": "string"}, "title": {"type": "string"}}}
    site = site_of(books=BOOKS)
    (template,) = templates(ORIGIN, [one.page for one in site.snapshots])
    assert "3" == template.value_in("/books/3/change/")
    (base,) = items.find_tools(site)
    tool = base.model_copy(update={"call": call, "input_schema": schema})
    assert ("id",) == open_inputs(tool)
    here, rest = at_address(tool, {"id": "a/b", "title": "Emma"})
    assert isinstance(here.call, FormCall)
    assert f"{ORIGIN}/books/a%2Fb/change/" == here.call.url
    assert {"title": "Emma"} == rest
    assert (base, {"id": 3}) == at_address(base, {"id": 3})
