"""From a recipe to a directory of results: what is trained, by whom, when, and what is kept of it."""
