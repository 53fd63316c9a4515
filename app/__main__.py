"""``python -m app``: serve, or look after keys."""

from app.heaps import restart_with_small_heaps

if __name__ == "__main__":
    restart_with_small_heaps()

    from app.command import main  # nothing is loaded twice

    main(prog_name="python -m app")
