"""What follows from the cards, stored once more to be read fast. No act rests on it; `fsck` compares it with the cards."""
