"""Messages to people by mail, SMS or webhook. They are written with the act (outbox) and sent after its commit, with retries."""
