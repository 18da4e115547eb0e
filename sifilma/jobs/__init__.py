"""Work by file: the worker carries out, row by row, what one uploaded file asks for. The work survives a crash of the worker."""
