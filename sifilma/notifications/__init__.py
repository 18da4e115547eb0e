"""What leaves for people: mail, SMS, webhook. Written with the act (outbox), sent after its commit, tried again, its fate visible."""
