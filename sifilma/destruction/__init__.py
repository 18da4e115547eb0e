"""The end of a card: damaged or locked ones, with witnesses and a Berita Acara."""
