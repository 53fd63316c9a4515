"""Running Switchyard: on one machine (``stack``, ``demo``), and the files that build and compose its images."""
