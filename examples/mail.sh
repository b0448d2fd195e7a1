#!/bin/sh
# Sends a mail about an event: mail.sh SMTP_URL FROM TO
set -eu
{
    printf 'From: %s\r\nTo: %s\r\nSubject: WebJob: %s of %s on %s\r\nMessage-ID: <%s@webjob>\r\n\r\n' \
        "$2" "$3" "$WEBJOB_EVENT" "${WEBJOB_JOB:--}" "${WEBJOB_CLIENT_ID:--}" "$WEBJOB_EVENT_ID"
    cat
    printf '\r\n'
} | curl --silent --show-error --fail --max-time 8 "$1" --mail-from "$2" --mail-rcpt "$3" --upload-file -
