"""Reading a page: what kind it is, its main text as Markdown, and what it says about itself."""
