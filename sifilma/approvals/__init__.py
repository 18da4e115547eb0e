"""Four eyes: who may decide, requests and proposals that wait for another person, what was decided, and the queues."""
