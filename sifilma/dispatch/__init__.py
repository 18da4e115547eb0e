"""What is done beside requests: dispatched, scheduled, retried and cancelled, on PostgreSQL by procrastinate, on SQLite in one process."""
