"""``python -m client.command``, where the ``switchyard`` script is not on the path."""

from client.command import main

main()
