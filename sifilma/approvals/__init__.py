"""Four eyes: who may decide, what was decided, and the queues of what waits for a decision."""
