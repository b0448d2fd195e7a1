#!/bin/sh
# Writes a line about an event to a syslog server: syslog.sh HOST PORT
set -eu
exec logger --server "$1" --port "$2" --udp --rfc5424=notq --tag webjob --priority daemon.notice -- \
    "event=$WEBJOB_EVENT id=$WEBJOB_EVENT_ID client=${WEBJOB_CLIENT_ID:--} job=${WEBJOB_JOB:--} run=${WEBJOB_RUN_ID:--} outcome=${WEBJOB_OUTCOME:--}"
