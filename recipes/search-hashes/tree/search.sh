# search.sh FOLDER...: prints DIGEST  FILE  # REMARK for each file in the set.
[ $# -gt 0 ] || { echo 'name folders to search' >&2; exit 2; }
find-known --max-size 1073741824 known "$@"
case $? in
0) exit 0 ;;
1) echo 'nothing found' ;;
*) echo 'not everything could be read, or the set is not sorted; see stderr' ; exit 1 ;;
esac
