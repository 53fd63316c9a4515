"""The front door: HTTP in, HTTP out.

``factory`` builds the application, ``services`` is what every view may use, ``inputs`` and ``errors`` are the edge,
``auth`` says who asks; then one module per concern, each with a blueprint ``bp``. Nothing happens at import.
"""
