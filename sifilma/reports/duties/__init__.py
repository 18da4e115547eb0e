"""Which work of the directorate can be divided: who may do it, and when it is done."""
