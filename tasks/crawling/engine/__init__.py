"""The crawler, one noun per file. Start reading at ``site``; empty, so that the extraction process loads little."""
