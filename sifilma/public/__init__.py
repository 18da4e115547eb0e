"""What everybody may read: what SI-FILMA is, how the work flows, how the service does, and the help."""
