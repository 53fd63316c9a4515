"""The kernel: what every family shares. It knows no family."""
