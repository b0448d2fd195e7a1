# integrity.sh map|compare FOLDER...: runs in the shell inside of webjob.
# The baseline is kept on the host, for root alone; INTEGRITY_FOLDER names another place.
[ $# -ge 2 ] || { echo 'say map or compare, and name folders' >&2; exit 2; }
action=$1
shift
folder=${INTEGRITY_FOLDER-/var/lib/webjob-integrity}
mkdir -p "$folder" out && chmod 700 "$folder" || exit 2
baseline=$folder/baseline

# FTimes itself when the host has it (it knows more attributes), else the map inside.
ftimes=
for path in /usr/local/bin/ftimes /usr/local/ftimes/bin/ftimes /usr/bin/ftimes /opt/local/bin/ftimes; do
    [ ! -x "$path" ] || ftimes=$path
done
if [ -n "$ftimes" ]; then
    echo "with $ftimes" >&2
    "$ftimes" --maplean none+mode+uid+gid+size+mtime+md5+sha256 "$@" >out/snapshot 2>out/ftimes.log || { cat out/ftimes.log >&2; exit 2; }
    fields=mode,uid,gid,size,md5,sha256
else
    snapshot --exclude "$folder" "$@" >out/snapshot || echo 'not everything could be read' >&2
    fields=mode,uid,gid,size,md5,sha256
fi
echo "files: $(($(wc -l <out/snapshot) - 1))" >&2

case $action in
map)
    cp out/snapshot "$baseline.new" && mv "$baseline.new" "$baseline"
    sha256sum "$baseline" >&2
    ;;
compare)
    [ -f "$baseline" ] || { echo 'there is no baseline here; run it with map first' >&2; exit 2; }
    sha256sum "$baseline" >&2
    snapshot-compare --fields "$fields" "$baseline" out/snapshot | tee out/differences
    [ "$(wc -l <out/differences)" -le 1 ]
    ;;
*)
    echo "$action is neither map nor compare" >&2
    exit 2
    ;;
esac
