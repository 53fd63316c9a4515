"""No task: the package has no kinds."""
