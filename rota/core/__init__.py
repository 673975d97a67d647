"""What everything uses and what knows neither tasks nor servers: durations, texts, threads, forks."""
