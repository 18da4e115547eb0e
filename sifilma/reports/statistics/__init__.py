"""Statistics: cards by province, model and month, and the working days from a letter to its manifests."""
