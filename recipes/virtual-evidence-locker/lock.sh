# lock.sh CASE NOTE PATH...: runs in the shell inside of webjob.
[ $# -ge 3 ] || { echo 'name a case, a note, and what to take' >&2; exit 2; }
case=$1 note=$2
case $case in *[!A-Za-z0-9._-]* | .* | "") echo "$case is no name for a case; use letters, digits, . _ -" >&2; exit 2 ;; esac
shift 2
dir=cases/$case/$(hostname)-$WEBJOB_RUN_ID
mkdir -p "$dir"
status=0
{
    echo "case:   $case"
    echo "run:    $WEBJOB_RUN_ID"
    echo "order:  ${WEBJOB_ORDER-none; started on the host}"
    echo "host:   $(hostname) (client $WEBJOB_CLIENT_ID)"
    echo "taken:  $(date -u +%Y-%m-%dT%H:%M:%SZ)"
    echo "with:   webjob $WEBJOB_VERSION, job $WEBJOB_JOB version $WEBJOB_JOB_VERSION"
    echo "note:   $note"
} >"$dir/custody.txt"
for path in "$@"; do
    echo >>"$dir/custody.txt"
    if [ ! -e "$path" ]; then
        echo "absent: $path" | tee -a "$dir/custody.txt" >&2
        status=1
        continue
    fi
    echo "item:   $path" >>"$dir/custody.txt"
    find "$path" -type f | while read -r file; do
        stat "$file" >>"$dir/custody.txt"
        sha256sum "$file" >>"$dir/originals.sha256"
    done
    mkdir -p "$dir/evidence/${path%/*}"
    cp -r "$path" "$dir/evidence/$path" || status=1
done
(cd "$dir" && find evidence -type f | sort | xargs sha256sum >manifest.sha256)
# What was copied is what was there, or the note says so.
if ! sed "s|  /|  evidence/|" "$dir/originals.sha256" | (cd "$dir" && sha256sum -c - >/dev/null 2>&1); then
    echo 'changed: files changed while they were copied' | tee -a "$dir/custody.txt" >&2
    status=1
fi
cat "$dir/custody.txt"
exit $status
