"""What the witness is told of the record of acts, and a restored database that goes on from what the witness knows."""
