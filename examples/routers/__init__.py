"""A program of several modules: each has its tasks on a router, and one module makes the app of them."""
