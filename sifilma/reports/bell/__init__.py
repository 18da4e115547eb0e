"""The bell: what is new for a person, on a page and over the API."""
