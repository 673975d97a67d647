"""What workers say of how they are, and the ways to ask them: a port, a socket for `rota health`, metrics."""
