"""Programs that show Rota at work. Each is also a test, so that it stays true."""
