"""From a recipe to a directory of results: which runs are trained, when, in which process, and what is kept of them."""
