"""Tables as people send them, read in the child process and checked cell by cell; tables for people to fill in."""
