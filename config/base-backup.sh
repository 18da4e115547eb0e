#!/bin/sh
# Physical backup of PostgreSQL beside `sifilma backup`: a base backup, and its WAL as it is written, encrypted by age (docs/operations.md, Backup).
# BACKUP_FOLDER is a folder on another disk or host, BACKUP_RECIPIENTS a file of public keys, BACKUP_IDENTITY (fetch only) that of a private one.
set -eu
: "${BACKUP_FOLDER:?a folder on another disk or host}"

# Write standard input, encrypted, under a name that it has only when it is whole and on the disk. A file that is there already stays.
keep() {
    [ ! -e "$BACKUP_FOLDER/$1" ] || { echo "$BACKUP_FOLDER/$1 is there already" >&2; return 1; }
    age -R "${BACKUP_RECIPIENTS:?a file of public keys}" -o "$BACKUP_FOLDER/.$1.part"
    sync "$BACKUP_FOLDER/.$1.part"
    mv "$BACKUP_FOLDER/.$1.part" "$BACKUP_FOLDER/$1"
}

case "${1:-}" in
base)
    # A pipe's exit status is that of its last command: what pg_basebackup said is kept and asked for.
    name="base-$(date -u +%Y%m%dT%H%M%SZ).tar.age"
    state=$(mktemp)
    { pg_basebackup --format=tar --wal-method=fetch --checkpoint=fast --pgdata=- || echo failed > "$state"; } | keep "$name"
    if [ -s "$state" ]; then rm -f "$state" "$BACKUP_FOLDER/$name"; exit 1; fi
    rm -f "$state"
    ;;
wal) keep "$3.age" < "$2" ;;
fetch) age -d -i "${BACKUP_IDENTITY:?a file of private keys}" -o "$3" "$BACKUP_FOLDER/$2.age" ;;
*) echo "usage: base-backup.sh base | wal PATH NAME | fetch NAME PATH" >&2; exit 2 ;;
esac
