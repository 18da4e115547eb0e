"""Four eyes (docs/domain.md, rules 1 and 2): requests and proposals that another person decides, and the queues of what waits."""
