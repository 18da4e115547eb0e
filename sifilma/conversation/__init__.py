"""What the two sides of a request, BAST or destruction write to each other, with attachments."""
