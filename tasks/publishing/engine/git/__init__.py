"""The files of a commit in somebody's git repository: fetched alone, and read without ever being checked out."""
