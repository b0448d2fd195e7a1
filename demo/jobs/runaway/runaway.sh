#!/bin/sh
# A job that does not want to end.
trap '' TERM
# setsid, where there is one, takes the grandchild out of the session as well.
leave=$(command -v setsid)
( $leave sh -c 'trap "" TERM; sleep 3600 & sleep 3601' & )
echo "running away as process $$"
while :; do sleep 60; done
