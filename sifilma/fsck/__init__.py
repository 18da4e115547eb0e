"""`sifilma fsck`: every invariant, held against what is really stored.

The database refuses most of this by itself; here it is asked again, because triggers can be switched off, backups restored and
disks lie. One module per theme. To add an invariant, write one function in the module of its theme:

    @in_snapshot("token-once", "A token is redeemed once.")
    def once(now: Snapshot) -> Found:
        return now.find("token", "SELECT t.id, … FROM token t …", "was redeemed by {count} activations")

and plant a fault for it in tests/fsck/plants.py: a test demands one for each.
"""
