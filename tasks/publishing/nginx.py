"""The configuration with which nginx serves a published site from its folder."""

from pathlib import Path

from tasks.publishing.caches import cache_tags

_TEMPLATE = """\
# Published site {name}; to be included in http {{ }}. Nothing in it changes from one release to the next.
map $uri ${variable}_cache {{
  default "no-cache";
  "~\\.[0-9a-f]{{12}}\\.[a-z0-9]+$" "public, max-age=31536000, immutable";
  "~*\\.(avif|gif|ico|jpe?g|mp[34]|ogg|png|svg|ttf|webm|webp|woff2?)$" "public, max-age=300";
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
  charset utf-8;
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
  location ~ \\.speculationrules$ {{
    types {{ }}
    default_type application/speculationrules+json;
  }}
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


def nginx_config(folder: Path, *, server_name: str, listen: str = "80") -> str:
    """Return the configuration of one site.

    Args:
        folder: the site's own: ``<SWITCHYARD_PUBLISH_DIR>/<tenant>/<site>``.
        server_name, listen: as in nginx's directives.
    """
    variable = "site_" + folder.name.replace("-", "_")
    return _TEMPLATE.format(
        name=folder.name,
        folder=folder,
        variable=variable,
        server_name=server_name,
        listen=listen,
        changing=cache_tags(folder.name, is_immutable=False),
        immutable=cache_tags(folder.name, is_immutable=True),
    )
