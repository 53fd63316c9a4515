"""How Chromium is started: nothing leaves it but through the proxy, and it calls nobody on its own account.

Playwright's own switches already turn off updates, sync, extensions, default apps and background pages.
"""

# ``<-loopback>`` removes Chromium's rule that loopback goes past any proxy.
NO_BYPASS = "<-loopback>"

FLAGS = [
    # It resolves no name but the proxy's address: should anything go past the proxy, or be prefetched, it finds nobody.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--dns-prefetch-disable",
    # UDP would go past the proxy. WebRTC uses TCP through it then, or nothing.
    "--disable-quic",
    "--webrtc-ip-handling-policy=disable_non_proxied_udp",
    # What it sends home.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-domain-reliability",
    "--disable-sync",
    "--no-pings",
    "--no-first-run",
    # No display, no graphics card.
    "--disable-gpu",
    # Containers have 64 MiB of shared memory; Debian's own start script does the same where it is small.
    "--disable-dev-shm-usage",
    # Lets `document.modelContext.getTools()` list the tools that a page declares to agents, and `computedName` say what
    # the browser calls an element.
    "--enable-blink-features=WebMCP,ComputedAccessibilityInfo",
]

# Whatever is neither the network's nor the page's own: files, the browser's inner pages, other programs.
LOCAL_SCHEMES = r"^(?!(?:https?|wss?|data|blob|about|javascript):)"
