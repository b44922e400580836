# An element that stands still and dies: what SCTP acknowledged is not sent again, what it never sent goes to the next
host pr 10.0.0.1
host pe1 10.0.0.11
host pe2 10.0.0.12
host pu 10.0.0.100
registrar pr pr 0x1234 -asap=10.0.0.1:3863
element pe1 pe1 0x1 echo
element pe2 pe2 0x2 echo
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

first=$(grep -o '^connected 0x0000000.' /out/pu.log | tail -c 2)
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
unsent=$(count messages_unsent)
log "$unsent were never sent"
[ "$(count messages_resent)" = "$unsent" ] || fail 'something else was sent again'
[ "$(count messages_received)" = $((360 + unsent)) ] || fail 'not every one of them came back'
never pu '(Undelivered|unknown_confirmations)'
