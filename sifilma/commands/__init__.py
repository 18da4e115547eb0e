"""The `sifilma` command, and the server."""
