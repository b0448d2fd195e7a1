#!/bin/sh
echo "looking for the configuration of the moon"
echo "failing: /etc/moon.conf does not exist" >&2
exit 3
