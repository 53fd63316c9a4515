"""A small shop of ten pages that works: searches, lists in pages, orders, forms, and scripts that ask a JSON API.

``python -m bench.discovery_shop`` prints its port and serves until its input ends.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, urlsplit

PAGES = 10
_PER_PAGE = 12
_COLOURS = ("red", "blue", "green", "white", "black", "copper")
_THINGS = ("kettle", "teapot", "cup", "saucer", "tray", "spoon", "tin", "strainer")
PRODUCTS = [
    {"id": number, "name": f"{colour} {thing}", "price": 3.5 + number * 7 % 50, "colour": colour}
    for number, (thing, colour) in enumerate(((thing, colour) for thing in _THINGS for colour in _COLOURS), start=1)
]

_PATHS = ("products", "catalogue", "finder", "offers", "about", "delivery", "contact", "sign-in", "news")
_SCRIPT = """
document.querySelectorAll('[aria-expanded]').forEach((button) => button.addEventListener('click', () => {
  const isOpen = button.getAttribute('aria-expanded') === 'true';
  button.setAttribute('aria-expanded', String(!isOpen));
  document.getElementById(button.getAttribute('aria-controls')).hidden = isOpen;
}));
"""
_LIST = """
let page = 1, q = '', sort = 'name', timer;
const load = async () => {
  const asked = new URLSearchParams({q, page, sort});
  const answer = await (await fetch(`/api/products?${asked}`)).json();
  if (page === 1) list.innerHTML = '';
  for (const one of answer.items) {
    list.insertAdjacentHTML('beforeend', `<li><b>${one.name}</b> <i>${one.price}</i></li>`);
  }
};
load();
box.addEventListener('input', () => {
  clearTimeout(timer);
  timer = setTimeout(() => { q = box.value; page = 1; load(); }, 250);
});
order.onchange = () => { sort = order.value; page = 1; load(); };
more.onclick = () => { page += 1; load(); };
"""
_FINDER = """
const show = (kind) => fetch(`/api/kinds/${kind}`).then((answer) => answer.json())
  .then((answer) => { out.textContent = answer.items.map((one) => one.name).join(', '); });
document.querySelectorAll('[role=tab]').forEach((tab) => tab.addEventListener('click', () => show(tab.dataset.kind)));
document.querySelectorAll('input[type=checkbox]').forEach((one) =>
  one.addEventListener('change', () => fetch(`/api/products?colour=${one.value}&page=1`)));
"""
_STYLE = "body{font:16px sans-serif;margin:2em}nav a{margin-right:1em}li{margin:.3em}#menu{background:#eee}"


def page(path: str, query: dict[str, str]) -> str | None:
    """Return the HTML at ``path``; None where there is none."""
    makers = {
        "/": lambda: ("Tea things", "<p>Everything for tea.</p>"),
        "/products": lambda: ("Products", _products(query)),
        "/search": lambda: ("Search", _found(query.get("q", ""))),
        "/catalogue": lambda: ("Catalogue", _CATALOGUE),
        "/finder": lambda: ("Finder", _FINDER_PAGE),
        "/offers": lambda: ("Offers", _rows(PRODUCTS[::9])),
        "/about": lambda: ("About us", "<p>We have sold tea things since 1911.</p>"),
        "/delivery": lambda: ("Delivery", _DELIVERY),
        "/contact": lambda: ("Contact", _CONTACT),
        "/sign-in": lambda: ("Sign in", _SIGN_IN),
        "/news": lambda: ("News", "".join(f"<article><h2>News {n}</h2><p>Text {n}.</p></article>" for n in range(5))),
    }
    if path in makers:
        return _whole(*makers[path]())
    number = path.removeprefix("/products/")
    if number.isdigit() and 0 < int(number) <= len(PRODUCTS):
        one = PRODUCTS[int(number) - 1]
        return _whole(str(one["name"]), f"<p>{one['name']}, {one['price']} euros.</p>")
    return None


def api(path: str, query: dict[str, str]) -> object | None:
    """Return what the API answers at ``path``."""
    if path == "/api/products":
        found = [one for one in PRODUCTS if query.get("q", "") in str(one["name"])]
        found = [one for one in found if query.get("colour", one["colour"]) == one["colour"]]
        order = query.get("sort", "name")
        found.sort(key=lambda one: one["price" if order == "price" else "name"])  # type: ignore[arg-type,return-value]
        first = (int(query.get("page", "1")) - 1) * _PER_PAGE
        return {"items": found[first : first + _PER_PAGE], "total": len(found)}
    kind = path.removeprefix("/api/kinds/")
    return {"items": [one for one in PRODUCTS if kind in str(one["name"])]} if kind in _THINGS else None


def _whole(title: str, body: str) -> str:
    links = "".join(f'<a href="/{path}">{path.replace("-", " ").capitalize()}</a>' for path in _PATHS)
    return (
        f"<!doctype html><html lang=en><head><meta charset=utf-8><title>{title}</title>"
        "<link rel=stylesheet href=/site.css></head><body>"
        "<header><button aria-expanded=false aria-controls=menu>Menu</button>"
        f"<nav id=menu>{links}</nav>"
        "<form action=/search role=search><label>Search tea things <input type=search name=q></label>"
        f"<button>Search</button></form></header><main><h1>{title}</h1>{body}</main>"
        "<footer><form action=/subscribe method=post><label>E-mail <input type=email name=email required></label>"
        "<button>Subscribe</button></form></footer><script src=/site.js></script></body></html>"
    )


def _rows(products: list[dict[str, object]]) -> str:
    return f"<ul>{''.join(_row(one) for one in products)}</ul>"


def _row(one: dict[str, object]) -> str:
    return f"<li><a href='/products/{one['id']}'>{one['name']}</a> <b>{one['price']}</b></li>"


def _products(query: dict[str, str]) -> str:
    order, number = query.get("order", "name"), int(query.get("page", "1"))
    ordered = sorted(PRODUCTS, key=lambda one: one[order] if order in ("name", "price") else one["id"])  # type: ignore[arg-type,return-value]
    last = -(-len(ordered) // _PER_PAGE)
    orders = "".join(f"<option value={one}>{one.capitalize()}" for one in ("name", "price"))
    pages = " ".join(f"<a href='/products?page={one}'>{one}</a>" for one in range(1, last + 1) if one != number)
    return (
        f"<form action=/products><label>Sort by <select name=order>{orders}</select></label>"
        "<button>Sort</button></form>"
        f"{_rows(ordered[(number - 1) * _PER_PAGE : number * _PER_PAGE])}<div class=pagination>{pages}"
        f"{f'<a rel=next href=/products?page={number + 1}>Next</a>' if number < last else ''}</div>"
    )


def _found(words: str) -> str:
    found = [one for one in PRODUCTS if words and words.lower() in str(one["name"])]
    return f"<p>{len(found)} found.</p>{_rows(found)}"


_CATALOGUE = (
    "<input type=search id=box placeholder='Search the catalogue'><label>Sort by <select id=order>"
    "<option value=name>Name<option value=price>Price</select></label><ul id=list></ul>"
    f"<button id=more>Load more</button><script>{_LIST}</script>"
)
_FINDER_PAGE = (
    "<div role=tablist>"
    + "".join(f"<button role=tab data-kind={kind}>{kind.capitalize()}s</button>" for kind in _THINGS[:4])
    + "</div>"
    + "".join(f"<label><input type=checkbox value={one}>Only {one}</label>" for one in _COLOURS[:3])
    + f"<p id=out></p><script>{_FINDER}</script>"
)
_DELIVERY = (
    "<form action=/delivery><label>Country <select name=country><option>Austria<option>France<option>Italy</select>"
    "</label><label>Weight <input type=number name=weight value=1 min=1 max=30></label>"
    "<button>Show prices</button></form>"
)
_CONTACT = (
    "<form action=/contact method=post><label>Your name <input name=name required></label>"
    "<label>Your e-mail <input type=email name=email required></label>"
    "<label>Message <textarea name=message required></textarea></label><button>Send message</button></form>"
)
_SIGN_IN = (
    "<form action=/sign-in method=post><label>User name <input name=user required></label>"
    "<label>Password <input type=password name=password required></label><button>Sign in</button></form>"
)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body are written one after the other: without this the body waits 40 ms for the client's ACK.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Answer a page, a script, a style sheet or the API."""
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path in ("/site.js", "/site.css"):
            is_script = parts.path.endswith("js")
            self._send(200, "text/javascript" if is_script else "text/css", _SCRIPT if is_script else _STYLE)
        elif parts.path.startswith("/api/"):
            answer = api(parts.path, query)
            self._send(200 if answer else 404, "application/json", json.dumps(answer))
        else:
            html = page(parts.path, query)
            self._send(200 if html else 404, "text/html; charset=utf-8", html or _whole("Not found", ""))

    def _send(self, status: int, media_type: str, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def running() -> Iterator[str]:
    """Serve the shop from another process and give its address."""
    command = [sys.executable, "-m", "bench.discovery_shop"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=Path(__file__).parents[1], stdin=pipe, stdout=pipe, text=True) as server:
        if server.stdin is None or server.stdout is None:
            raise RuntimeError("the server was started without pipes")
        yield f"http://127.0.0.1:{int(server.stdout.readline())}/"
        server.stdin.close()


def serve() -> None:
    """Print the port and serve until the input ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever)
    thread.start()
    print(server.server_port, flush=True)
    sys.stdin.read()
    server.shutdown()
    thread.join()
    server.server_close()


if __name__ == "__main__":
    serve()
