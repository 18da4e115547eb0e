"""What spans the features: everybody's home page, organisations with what they hold, the audit trail on screen."""
