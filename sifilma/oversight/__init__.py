"""What an institution must have to use readers: agreements now; sanctions and reports with the oversight work."""
