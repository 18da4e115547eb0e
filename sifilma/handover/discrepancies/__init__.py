"""Cards of a BAST that did not come or came broken: the paper about it, and what becomes of the missing ones."""
