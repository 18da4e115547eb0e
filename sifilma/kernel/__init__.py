"""What every package stands on: database, life cycles, time, identity, errors. Imports nothing of the other packages."""
