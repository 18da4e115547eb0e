"""Who of the directorate has taken which work: a help for dividing it. It gives no permission and takes none away."""
