#!/bin/sh
# One image, several roles: PROCESS_TYPE says which; with arguments, run those instead.
set -eu
[ -d .venv/bin ] && PATH="$PWD/.venv/bin:$PATH"
[ $# -gt 0 ] && exec "$@"
case "${PROCESS_TYPE:-}" in
  web) exec python -m app ;;
  # With Q unset, all six queues.
  worker) if [ -n "${Q:-}" ]; then exec celery -A tasks worker -Q "$Q"; else exec celery -A tasks worker; fi ;;
  workers) exec python -m workers ;;
  dispatcher) exec python -m workers dispatcher ;;
  flower) exec python -m workers flower --address "${FLOWER_BIND:-127.0.0.1}" --port "${FLOWER_LISTEN:-5555}" ;;
  *) echo "PROCESS_TYPE must be web, worker, workers, dispatcher or flower; got '${PROCESS_TYPE:-}'" >&2; exit 2 ;;
esac
