"""What is seen on a page and what it means, one noun per file. Start reading at ``page``."""
