"""The pages that everybody may read: what SI-FILMA is, how the work flows, the state of the service, and the help."""
