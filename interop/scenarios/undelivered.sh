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
# One socket for the service and one for the registrar.
within 30 listens pe1 2 || fail 'pe1 does not listen'
within 30 listens pe2 2 || fail 'pe2 does not listen'
echo "$buffer" > /proc/sys/net/core/rmem_default
start pu pu sctp 10.0.0.1:3863
# counted: how many messages the pool user has handed over, how many of these again, and how many came back unsent.
counted() {
    tell pu 'stats'
    expect pu '^stats '
    sent=$(counter sent) resent=$(counter resent) unsent=$(counter unsent)
}
counter() { grep '^stats' /out/pu.log | tail -n 1 | grep -o "messages_$1: [0-9]*" | grep -o '[0-9]*$' || echo 0; }
listed EchoPool 2
tell pu 'open EchoPool'
for n in 1 2 3; do
    tell pu 'flood 120'
    said_all pu '^received ' $((120 * n))
    # What was delivered makes room, once SCTP says so: the session may queue 128 of these.
    sleep 1
done
counted
[ "$sent" = 360 ] || fail "$sent messages were sent, not 360"

connected
freeze "pe$first"
tell pu 'flood 120'
tell pu 'flood 8'
# Until its window and the kernel's buffer are full.
until before=$sent && sleep 1 && counted && [ "$sent" = "$before" ]; do :; done
handed=$((sent - 360))
kill_hard "pe$first"
expect pu "^failed over from 0x0000000$first to 0x0000000$second"
counted
log "of $handed messages handed over $unsent were never sent"
# SCTP in user space is given no more than the window of a channel, and what it has sent is on its way.
[ "$over" = kernel ] && least=100 || least=50
[ "$unsent" -gt "$least" ] || fail 'too few for some of them to have waited in the driver'
# The other element gets all but those that were sent, each once and in order. The first byte of a message is its number
# in its flood.
number=$((handed - unsent))
said_all pu "^received 0x0000000$second " $((128 - number))
for byte in $(sed -n "s/^received 0x0000000$second \(..\).*/\1/p" /out/pu.log); do
    [ $((16#$byte)) = $((number % 120)) ] || fail "0x$byte came instead of message $number"
    number=$((number + 1))
done
counted
[ "$resent" = "$unsent" ] || fail "$resent messages were sent again"
[ "$sent" = $((360 + 128 + resent)) ] || fail "$sent messages were sent"
never pu '^refused flood|Undelivered|unknown_confirmations'
