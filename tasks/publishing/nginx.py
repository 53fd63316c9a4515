"""The configuration with which nginx serves a published site from its folder, or by way of an edge before a bucket."""

from itertools import chain
from pathlib import Path

from tasks.publishing.caches import cache_tags
from tasks.publishing.manifest import BRIEFLY, DEFAULT_TYPE, IMMUTABLE, REVALIDATED, caching_of, known_types

_TEMPLATE = """\
# Published site {name}; to be included in http {{ }}. Nothing in it changes from one release to the next.
map $uri ${variable}_cache {{
  default "{revalidated}";
  "~\\.[0-9a-f]{{12}}\\.[a-z0-9]+$" "{immutable_caching}";
  "~*\\.({brief_endings})$" "{brief}";
}}
map $uri ${variable}_tags {{
  default "{changing}";
  "~\\.[0-9a-f]{{12}}\\.[a-z0-9]+$" "{immutable}";
}}
map $uri ${variable}_rules {{
  default "";
  "~(/|\\.html?)$" '"/site.speculationrules"';
}}
server {{
  listen {listen};
  server_name {server_name};
  root "{folder}/live";
  index index.html;
  # As the manifest says, whatever table of types this nginx has.
  types {{
{types}
  }}
  types_hash_max_size 2048;
  default_type {default_type};
  charset utf-8;
  charset_types {texts};
  absolute_redirect off;
  gzip_static on;
  # brotli_static on;  # where nginx has ngx_brotli
  # A file that was opened is of one release; one that is kept open would be of an old one.
  open_file_cache off;
  # Times of files are made of their content, so that the ETag is: as a date they mean nothing.
  etag on;
  if_modified_since off;
  add_header Last-Modified "";
  add_header Cache-Control ${variable}_cache;
  add_header Cache-Tag ${variable}_tags;
  add_header Speculation-Rules ${variable}_rules;
  add_header X-Content-Type-Options nosniff;
  error_page 404 /404.html;
  location ~ "\\.[0-9a-f]{{12}}\\.[a-z0-9]+$" {{
    # Of all releases that are kept: a page that was opened before a swap asks for what it was made with. Looked for
    # here first, since nginx looks and then opens, and a swap in between would make what is only in live a 404.
    root "{folder}/fingerprinted";
    try_files $uri @{variable}_live;
  }}
  location @{variable}_live {{
    root "{folder}/live";
  }}
}}
"""

_OF_EDGE = """\
# Published site {name}, which lies in a bucket: `python -m workers edge {name}` reads there what is live, and says
# type, cache header and encoding of each file. To be included in http {{ }}; no release changes anything in it.
map $http_accept_encoding ${variable}_encoding {{
  # One of these, so that what is kept here is kept once for each and not for each browser.
  default "";
  "~*(^|[ ,])br *(,|$|; *q=(1|0\\.[0-9]*[1-9]))" br;
  "~*(^|[ ,])gzip *(,|$|; *q=(1|0\\.[0-9]*[1-9]))" gzip;
}}
proxy_cache_path "{cache}/{variable}" levels=1:2 keys_zone={variable}:10m max_size=1g inactive=7d use_temp_path=off;
upstream {variable} {{
  server {edge};
  keepalive 32;
}}
server {{
  listen {listen};
  server_name {server_name};
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  proxy_set_header Host $host;
  proxy_set_header Accept-Encoding ${variable}_encoding;
  location / {{
    # Asked for each time: what is live may be another release by now.
    proxy_pass http://{variable};
  }}
  location ~ "\\.[0-9a-f]{{12}}\\.[a-z0-9]+$" {{
    # The name is that of the content, so that it may be kept whatever is live.
    proxy_pass http://{variable};
    proxy_cache {variable};
    proxy_cache_key "$uri ${variable}_encoding";
    proxy_ignore_headers Vary;
    proxy_cache_lock on;
    proxy_cache_use_stale error timeout http_500 http_502 http_503 http_504;
  }}
}}
"""


def nginx_config(folder: Path, *, server_name: str, listen: str = "80") -> str:
    """Return the configuration of one site.

    Args:
        folder: the site's own: ``<SWITCHYARD_PUBLISH_DIR>/<tenant>/<site>``.
        server_name, listen: as in nginx's directives.
    """
    variable = "site_" + folder.name.replace("-", "_")
    types = known_types()
    return _TEMPLATE.format(
        name=folder.name,
        folder=folder,
        variable=variable,
        server_name=server_name,
        listen=listen,
        brief_endings="|".join(chain.from_iterable(e for name, e in types.items() if caching_of(name) == BRIEFLY)),
        brief=BRIEFLY,
        revalidated=REVALIDATED,
        immutable_caching=IMMUTABLE,
        types="\n".join(f"    {name} {' '.join(endings)};" for name, endings in sorted(types.items())),
        default_type=DEFAULT_TYPE,
        # nginx adds HTML by itself, and warns of what is there twice.
        texts=" ".join(name for name in types if name.startswith("text/") and name != "text/html"),
        changing=cache_tags(folder.name, is_immutable=False),
        immutable=cache_tags(folder.name, is_immutable=True),
    )


def nginx_config_of_edge(
    name: str, *, server_name: str, edge: str, listen: str = "80", cache: Path = Path("/var/cache/nginx")
) -> str:
    """Return the configuration of one site in a bucket.

    Args:
        edge: where ``python -m workers edge`` listens, as ``host:port``.
        server_name, listen: as in nginx's directives.
        cache: a folder of nginx, for assets with a hash in their names.
    """
    variable = "site_" + name.replace("-", "_")
    return _OF_EDGE.format(name=name, variable=variable, server_name=server_name, listen=listen, edge=edge, cache=cache)
