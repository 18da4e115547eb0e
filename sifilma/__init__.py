"""SI-FILMA: the life of a SAM card, from the first request to its destruction."""
