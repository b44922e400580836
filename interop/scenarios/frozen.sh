# The only registrar stands still with its association up: left after the request has failed, and found again when it goes on
#= some asap.message_type == 0x5 && ip.dst == 10.0.0.1
host pr 10.0.0.1
host pe 10.0.0.11
host pu 10.0.0.100
registrar pr pr 0x1 -asap=10.0.0.1:3863 -enrp=10.0.0.1:9901
element pe pe 0x1 echo
start pu pu sctp 10.0.0.1:3863
listed EchoPool 1
tell pu 'purge EchoPool'
freeze pr
tell pu 'resolve EchoPool'
# The kernel acknowledges whatever the process is asked.
expect pu '^failed EchoPool: no registrar answered' 60
kill -CONT "${pid[pr]}"
log 'pr goes on'
tell pu 'resolve EchoPool'
expect pu '^registrar 10.0.0.1:3863' 20
# It has struck off the element, which registers anew.
expect pu '^failed EchoPool: no such pool' 5
listed EchoPool 1
# One association was given up, one is up.
[ "$(ip netns exec pu awk '$1 == "SctpActiveEstabs" { print $2 }' /proc/net/sctp/snmp)" = 2 ] || fail 'not two associations'
