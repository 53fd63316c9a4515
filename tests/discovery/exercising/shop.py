"""A shop as scripts make it: one page, a JSON API, GraphQL, and controls that would do harm. All requests are noted."""

import json
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from graphql import build_schema, graphql_sync
from websockets.sync.server import ServerConnection, serve

PRODUCTS = [
    {"id": number, "name": f"{colour} {thing}", "price": 5.5 * number, "colour": colour}
    for number, (colour, thing) in enumerate(
        [(c, t) for t in ("kettle", "teapot", "kettle lid") for c in ("red", "blue", "green", "white")], start=1
    )
]
PER_PAGE = 3

SDL = '''
"""Where a product is made."""
enum Origin { HERE "Made here" ABROAD }
input PriceRange { least: Float = 0, most: Float! }
type Maker { name: String!, products: [Product!]! }
type Product { id: ID!, name: String!, price: Float, origin: Origin, maker: Maker }
type Query {
  "Products by words."
  products(search: String, origin: Origin, price: PriceRange, ids: [ID!], first: Int = 10): [Product!]!
  product(id: ID!): Product
}
type Mutation {
  addReview(productId: ID!, text: String!): Product
  deleteProduct(id: ID!): Boolean
}
'''

HOME = """<!doctype html><meta charset=utf-8><title>Kettles</title>
<h1>Kettles and teapots</h1>
<input type="search" id="q" placeholder="Search products">
<label>Sort by <select id="sort"><option value="name">Name<option value="price">Price</select></label>
<ul id="list"></ul>
<button id="more">Load more</button>
<div role="tablist"><button role="tab" aria-selected="true">All</button><button role="tab" id="new">New</button></div>
<button id="delete">Delete everything</button>
<button id="buy">Buy now</button>
<form method="post" action="/contact"><input name="email"><button>Send message</button></form>
<script>
let page = 1, q = '', sort = 'name';
const headers = {'X-Requested-With': 'XMLHttpRequest', 'X-CSRF-Token': 'abc', 'Accept': 'application/json'};
const show = (items) => { for (const p of items) list.insertAdjacentHTML('beforeend', `<li>${p.name}</li>`); };
const load = async () => {
  const params = new URLSearchParams({q, page, sort, _: 1700000000000 + page});
  const answer = await (await fetch(`/api/v1/products?${params}`, {headers})).json();
  if (page === 1) list.innerHTML = '';
  show(answer.items);
};
load();
fetch('/collect?pageview', {method: 'POST', body: 'x'});
let timer;
document.getElementById('q').addEventListener('input', (event) => {
  clearTimeout(timer);
  timer = setTimeout(() => { q = event.target.value; page = 1; load(); }, 400);
});
document.getElementById('sort').onchange = (event) => { sort = event.target.value; page = 1; load(); };
more.onclick = () => { page += 1; load(); };
document.getElementById('new').onclick = () => fetch('/api/v1/products/search', {
  method: 'POST', headers: {'Content-Type': 'application/json'},
  body: JSON.stringify({filter: {isNew: true, colours: ['red']}, page: 1}),
}).then((answer) => answer.json());
document.getElementById('delete').onclick = () => fetch('/api/v1/products/1', {method: 'DELETE'});
buy.onclick = () => fetch('/api/v1/orders', {method: 'POST', body: '{}'});
</script>"""

# Every control here has innocent words, and does harm in another way.
HARMFUL = """<!doctype html><meta charset=utf-8><title>Harmful</title><ul><li>alpha kettle<li>beta kettle</ul>
<input type="search" id="q" placeholder="Search">
<button class="t" id="a">Load more</button> <button class="t" id="b">Show more</button>
<a class="t" id="c" href="#" ping="/unsafe/ping">Next</a>
<button role="tab" id="d">One</button> <button role="tab" id="e">Two</button>
<button role="tab" id="f">Three</button> <details id="g"><summary>Menu</summary>text</details>
<label><input type="checkbox" id="h">Only new</label><label><input type="checkbox" id="i">Only red</label>
<select id="s" aria-label="Sort"><option>one<option>two<option>three</select>
<form id="form" method="post" action="/unsafe/form"></form>
<script>
const on = (id, act) => { document.getElementById(id).addEventListener('click', act); };
const socket = new WebSocket('ws://SOCKET/');
socket.onopen = () => socket.send('hello');
if (window.SharedWorker) new SharedWorker(URL.createObjectURL(new Blob([
  `onconnect = () => setInterval(() => fetch('${location.origin}/unsafe/shared',
    {method: 'POST', body: 's', mode: 'no-cors'}), 200);`])));
const worker = new Worker(URL.createObjectURL(new Blob([
  `onmessage = () => fetch('${location.origin}/unsafe/worker', {method: 'POST', body: 'w', mode: 'no-cors'});`])));
q.oninput = () => fetch('/unsafe/typed', {method: 'PUT', body: q.value});
on('a', () => {
  fetch('/unsafe/fetch', {method: 'POST', body: '{}'}); navigator.sendBeacon('/unsafe/beacon', 'x');
});
on('b', () => { const x = new XMLHttpRequest(); x.open('DELETE', '/unsafe/xhr'); x.send(); });
on('c', () => { location.href = '/unsafe/navigation'; });
on('d', () => { form.submit(); });
on('e', () => { window.open('/unsafe/window'); new Image().src = '/unsafe/delete?all=1'; });
on('f', () => { worker.postMessage(1); socket.send('unsafe'); });
document.getElementById('g').ontoggle = () => setTimeout(
  () => fetch('/unsafe/later', {method: 'POST', body: '{}', keepalive: true}), 300);
on('h', () => fetch('/graphql', {method: 'POST', headers: {'Content-Type': 'application/json'},
  body: JSON.stringify({query: 'mutation { deleteProduct(id: 1) }'})}));
on('i', () => fetch('/unsafe/search', {method: 'POST', headers: {'X-HTTP-Method-Override': 'DELETE'}, body: '{}'}));
s.onchange = () => { const f = document.createElement('iframe'); f.name = 'f'; document.body.append(f);
  form.target = 'f'; form.submit(); };
addEventListener('pagehide', () => {
  navigator.sendBeacon('/unsafe/farewell', 'x');
  fetch('/unsafe/farewell', {method: 'POST', body: 'x', keepalive: true});
});
</script>"""

QUERIES = """<!doctype html><meta charset=utf-8><title>GraphQL</title>
<ul><li>red kettle<li>blue kettle</ul><input type="search" id="q" placeholder="Search products">
<script>
const find = (search) => fetch('/graphql', {method: 'POST', headers: {'Content-Type': 'application/json'},
  body: JSON.stringify({operationName: 'Find', variables: {search, first: 5},
    query: 'query Find($search: String!, $first: Int) { products(search: $search, first: $first) { id name } }'})});
q.oninput = () => find(q.value);
find('');
</script>"""

# As Select2 makes it: what looks like a field opens a list that has a search box of its own.
PICK = """<!doctype html><meta charset=utf-8><title>Lend a kettle</title><ul><li>red kettle<li>blue kettle</ul>
<button aria-haspopup="true" id="theme">Theme</button>
<form method="post" action="/unsafe/form"><span id="maker">Maker</span>
<span id="field" role="combobox" aria-haspopup="true" aria-expanded="false" aria-labelledby="maker">-</span>
<button>Save</button></form>
<script>
const find = (q) => fetch('/api/v1/products?' + new URLSearchParams(q ? {q, page: 1} : {page: 1}));
field.onmousedown = () => {
  document.body.insertAdjacentHTML('beforeend', '<input type=search role=searchbox id=box>');
  box.oninput = () => find(box.value);
  box.focus();
  find('');
};
theme.onclick = () => theme.classList.toggle('open');
</script>"""

# A script listens to the order alone, and on the window to what nobody's hand causes.
DEAF = """<!doctype html><title>Deaf</title><ul><li>red kettle<li>blue kettle</ul>
<form action="/found"><input type=search name=q placeholder="Search"></form><button>Load more</button>
<select id="sort" aria-label="Sort"><option>name<option>price</select>
<div id="pages"><button>Next</button></div>
<script>sort.onchange = () => fetch('/api/v1/products?sort=' + sort.value); addEventListener('resize', () => {});
pages.addEventListener('click', () => fetch('/api/v1/products?page=2'));</script>"""

STILL = "<!doctype html><title>Still</title><input type=search><button>Load more</button><details><summary>x</summary>"


@dataclass(frozen=True)
class Asked:
    """A request as it came to the server."""

    method: str
    path: str
    body: str


class Shop:
    """The server. ``asked`` has all that reached it, but for pages and icons; ``messages`` what came by WebSocket."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.messages: list[str] = []
        self.is_introspectable = True
        self.schema = build_schema(SDL)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        self._socket = serve(self._listen, "127.0.0.1", 0)
        self._listener = threading.Thread(target=self._socket.serve_forever)
        self._listener.start()

    def _listen(self, connection: ServerConnection) -> None:
        self.messages.extend(str(message) for message in connection)

    @property
    def socket_endpoint(self) -> str:
        return f"127.0.0.1:{self._socket.socket.getsockname()[1]}"

    @property
    def endpoint(self) -> str:
        return f"127.0.0.1:{self._server.server_port}"

    def url(self, path: str = "/") -> str:
        return f"http://{self.endpoint}{path}"

    def close(self) -> None:
        self._socket.shutdown()
        self._listener.join()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, asked: Asked) -> tuple[int, str, str]:
        """Return status, media type and body."""
        parts = urlsplit(asked.path)
        pages = {
            "/": HOME,
            "/pick": PICK,
            "/harmful": HARMFUL.replace("SOCKET", self.socket_endpoint),
            "/queries": QUERIES,
            "/still": STILL,
            "/deaf": DEAF,
        }
        if parts.path in pages:
            return 200, "text/html", pages[parts.path]
        self.asked.append(asked)
        if parts.path == "/graphql":
            return 200, "application/json", json.dumps(self.ask(json.loads(asked.body)))
        if parts.path == "/api/v1/products":
            return 200, "application/json", json.dumps(_products(parse_qs(parts.query)))
        if parts.path == "/api/v1/products/search":
            return 200, "application/json", json.dumps({"items": PRODUCTS[:2], "total": 2})
        return 404, "text/plain", "nothing here"

    def ask(self, body: dict[str, Any]) -> dict[str, Any]:
        """Answer a GraphQL request."""
        if not self.is_introspectable and "__schema" in body["query"]:
            return {"errors": [{"message": "introspection is not allowed"}]}
        root = {
            "products": lambda _, **given: [
                {**p, "origin": "HERE"} for p in PRODUCTS if (given.get("search") or "") in p["name"]
            ][: given.get("first", 10)],
            "product": lambda _, id: next((p for p in PRODUCTS if str(p["id"]) == id), None),
        }
        return graphql_sync(self.schema, body["query"], root, variable_values=body.get("variables")).formatted


def _products(given: dict[str, list[str]]) -> dict[str, Any]:
    found = [p for p in PRODUCTS if given.get("q", [""])[0] in str(p["name"])]
    found.sort(key=lambda p: p[given.get("sort", ["name"])[0]])
    first = (int(given.get("page", ["1"])[0]) - 1) * PER_PAGE
    return {"items": found[first : first + PER_PAGE], "total": len(found), "next": None}


def _handler(shop: Shop) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, media_type, text = shop.answer(Asked(self.command, self.path, body.decode("utf-8", "replace")))
            self.send_response(status)
            self.send_header("Content-Type", media_type)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = _answer  # noqa: N815  # the names that http.server calls

        def log_message(self, *_: object) -> None:
            """Keep the test output quiet."""

    return Handler
