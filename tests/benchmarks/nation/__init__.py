"""The nation as data: a database in the shape of the ministry's figures, to size a machine and to measure pages with."""
