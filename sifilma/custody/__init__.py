"""The custody of keys: ceremonies by two custodians, rotation, and what follows when a key is compromised."""
