"""Statements that are built once for each kind of actor, since to build them takes longer than to execute them."""
