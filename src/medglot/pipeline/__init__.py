"""Floor 5, the spine: recipe -> plan -> run -> report."""
