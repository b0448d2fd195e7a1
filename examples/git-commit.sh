#!/bin/sh
# Keeps the changed output of a job under version control: git-commit.sh REPOSITORY FETCH
# The names come checked: letters, digits and a few marks.
set -eu
repository=$1 fetch=$2
mkdir -p "$repository/$WEBJOB_CLIENT_ID"
cd "$repository"
# One at a time; a git that was killed at the hook's time limit leaves its lock behind.
exec 9>.git-commit.lock
flock 9
rm -f .git/index.lock
[ -d .git ] || git init --quiet .
"$fetch" "$WEBJOB_RUN_ID" >"$WEBJOB_CLIENT_ID/$WEBJOB_JOB.new"
mv "$WEBJOB_CLIENT_ID/$WEBJOB_JOB.new" "$WEBJOB_CLIENT_ID/$WEBJOB_JOB"
git add "$WEBJOB_CLIENT_ID/$WEBJOB_JOB"
git diff --cached --quiet && exit 0 # told twice: there is nothing new
git -c user.name=WebJob -c user.email=webjob@localhost commit --quiet \
    --message "$WEBJOB_JOB on $WEBJOB_CLIENT_ID" --message "run $WEBJOB_RUN_ID"
