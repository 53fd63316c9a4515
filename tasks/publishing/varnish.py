"""The configuration with which Varnish keeps published sites, and forgets what it is told to."""

_TEMPLATE = """\
vcl 4.1;
# Published sites behind Varnish. Nothing in it changes from one release to the next.
backend sites {{
  .host = "{host}";
  .port = "{port}";
}}
acl purgers {{
{purgers}
}}
sub vcl_recv {{
  if (req.method == "PURGE" || req.method == "BAN") {{
    if (client.ip !~ purgers) {{
      return (synth(403, "Not allowed"));
    }}
    if (req.method == "PURGE") {{
      return (purge);
    }}
    if (req.http.Cache-Tag !~ "^[a-z0-9-]+$" || req.http.Host !~ "^[a-z0-9.:-]+$") {{
      return (synth(400, "A tag and a host are needed"));
    }}
    ban("obj.http.X-Site-Host == " + req.http.Host
      + " && obj.http.Cache-Tag ~ (^|,)" + req.http.Cache-Tag + "(,|$)");
    return (synth(200, "Purged"));
  }}
  # A file is the same whatever follows a question mark and whoever asks.
  set req.url = regsub(req.url, "\\?.*$", "");
  unset req.http.Cookie;
}}
sub vcl_backend_response {{
  if (beresp.status == 200 && beresp.http.Cache-Tag) {{
    # Browsers ask for a page each time. It is kept here until its site tells that it has changed.
    set beresp.http.X-Site-Host = bereq.http.Host;
    set beresp.ttl = 1d;
    set beresp.grace = 0s;
  }} else {{
    # What is not there may be there in the next moment.
    set beresp.uncacheable = true;
    set beresp.ttl = 0s;
  }}
  return (deliver);
}}
sub vcl_deliver {{
  unset resp.http.X-Site-Host;
}}
"""


def varnish_config(*, host: str, port: int, purgers: tuple[str, ...] = ("127.0.0.1", "::1")) -> str:
    """Return the configuration (VCL 4.1) for published sites that a web server has at ``host`` and ``port``.

    Args:
        purgers: addresses of the workers, which alone may purge.
    """
    return _TEMPLATE.format(host=host, port=port, purgers="\n".join(f'  "{one}";' for one in purgers))
