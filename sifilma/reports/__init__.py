"""Pages that span the stages of a card's life: home, tasks that wait, the card's page, organisations, the map, reminders."""
