#!/bin/sh
# check.sh FILE: status 0 when the file is right and the service does well. It is called
# with the new file before it is put in place, and with the installed one after a reload.
# For nftables: nft --check --file "$1". For nginx: nginx -t. For sudo: visudo -c -f "$1".
! grep -vqE '^(#.*|(allow|deny) [0-9a-fA-F.:/]+)?$' "$1"
