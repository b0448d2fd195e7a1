# search.sh FOLDER...: prints FILE:OFFSET: KIND NUMBER: CONTEXT, numbers masked.
[ $# -gt 0 ] || { echo 'name folders to search' >&2; exit 2; }
find-numbers --kind card --context 30 --max-count 50 "$@"
case $? in
0) exit 0 ;;
1) echo 'nothing found' ;;
*) echo 'not everything could be read; see stderr' ; exit 1 ;;
esac
