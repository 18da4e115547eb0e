"""The destruction of damaged, locked and withdrawn cards, with witnesses and a Berita Acara."""
