"""Django: enqueue after the commit, from blocking code. The worker is a program of its own."""
