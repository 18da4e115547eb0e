"""From the activation request to the manifest that opens one card in one machine at one place."""
