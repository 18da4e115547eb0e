"""The `sifilma` command, and serving."""
