"""Work by file: what one upload asks for many times, done by the worker, row by row, whatever happens meanwhile."""
