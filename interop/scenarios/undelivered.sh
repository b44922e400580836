# An element that stands still and dies: what SCTP acknowledged is not sent again, what it never sent goes to the next
host pr 10.0.0.1
host pe1 10.0.0.11
host pe2 10.0.0.12
host pu 10.0.0.100
registrar pr pr 0x1234 -asap=10.0.0.1:3863
# The elements get small windows, so that messages wait in the driver too.
buffer=$(cat /proc/sys/net/core/rmem_default)
echo 16384 > /proc/sys/net/core/rmem_default
element pe1 pe1 0x1 echo
element pe2 pe2 0x2 echo
expect pe1 'Identifier'
expect pe2 'Identifier'
sleep 3
echo "$buffer" > /proc/sys/net/core/rmem_default
start pu pu sctp 10.0.0.1:3863
listed EchoPool 2
tell pu 'open EchoPool'
# What was delivered makes room: the session may queue 128 of these.
for n in 1 2 3; do
    tell pu 'flood 120'
    sleep 3
done
[ "$(said pu '^received ')" = 360 ] || fail 'not every message came back'
tell pu 'stats'
expect pu '^stats .* messages_sent: 360'

connected
freeze "pe$first"
tell pu 'flood 120'
tell pu 'flood 120'
sleep 3
kill_hard "pe$first"
expect pu "^failed over from 0x0000000$first"
sleep 3
tell pu 'stats'
expect pu '^stats .* messages_unsent: [1-9]'
count() { grep '^stats' /out/pu.log | tail -n 1 | grep -o "$1: [0-9]*" | grep -o '[0-9]*$'; }
log "$(count messages_unsent) were handed over and never sent"
[ "$(count messages_unsent)" -gt 100 ] || fail 'too few for some of them to have waited in the driver'
[ "$(count messages_resent)" = "$(count messages_unsent)" ] || fail 'something else was sent again'
# The first byte of a message is its number in its flood: the other element got them from one on, each once and in
# order, to the last one that the session took.
number=
for byte in $(sed -n "s/^received 0x0000000$second \(..\).*/\1/p" /out/pu.log); do
    [ -z "$number" ] || [ $((16#$byte)) = $(((number + 1) % 120)) ] || fail "0x$byte came after number $number"
    number=$((16#$byte))
done
taken=$(($(count messages_sent) - $(count messages_resent) - 360))
log "of $taken messages the last one that came back is number $number"
[ "$number" = $(((taken - 1) % 120)) ] || fail 'not all came back'
never pu '(Undelivered|unknown_confirmations)'
