"""`sifilma fsck`: check every invariant against what is stored (docs/quality.md).

The database enforces most of them itself. They are checked again, because triggers can be switched off, backups can be restored and
disks can fail. There is one module per theme. To add an invariant, write one function in the module of its theme:

    @in_snapshot("token-once", "A token is redeemed once.")
    def once(now: Snapshot) -> Found:
        return now.find("token", "SELECT t.id, … FROM token t …", "was redeemed by {count} activations")

and add a fault to tests/fsck/plants.py that breaks it. A test demands one for each invariant.
"""
