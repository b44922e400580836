# Pool user first, then a registrar on a random port, found by its announce; unknown pool; in good order to the end
#= some asap.message_type == 0xa && ip.dst == 239.0.0.50 && udp.dstport == 3863 && udp.srcport != 3863
# Announces say nothing of transports.
#= none asap.message_type == 0xa && asap.message_length > 8
#= some asap.message_type == 0x5 && sctp.dstport != 3863
#= none sctp.chunk_type == 6 && ip.src == 10.0.0.100
host pr 10.0.0.1
host pe 10.0.0.11
host pu 10.0.0.100
start pu pu sctp
tell pu 'resolve EchoPool'
# At once; the request waits for announces before it fails.
expect pu '^NoRegistrarKnown' 4
expect pu '^failed EchoPool: no registrar is known'

registrar pr pr 0x1234
element pe pe 0x101 echo
tell pu 'resolve EchoPool'
expect pu '^registrar 10.0.0.1:'
listed EchoPool 1
expect pu '^pool EchoPool: policy Round Robin'
expect pu '^  0x00000101 at 10.0.0.11:'
tell pu 'resolve NoSuchPool'
expect pu '^failed NoSuchPool: no such pool'
tell pu 'open EchoPool'
tell pu 'send hello'
expect pu '^connected 0x00000101'
expect pu '^received 0x00000101 .* hello$'
# SCTP has no empty messages; one that is asked for is in nobody's way.
tell pu 'hex'
tell pu 'send again'
expect pu '^received 0x00000101 .* again$'
lookup 0 '^0x00000101 .* 10.0.0.11:' EchoPool
lookup 1 'NoSuchPool: no such pool' NoSuchPool
lookup 3 'reached: SCTP 10.0.0.11:3863: (Connection refused|nothing listens at that)' -r 10.0.0.11 EchoPool
tell pu 'stats'
expect pu '^stats '
never pu '(malformed|unknown|unexpected)[a-z_]*: '
tell pu 'quit'
gone pu
never pu 'not everything'
# One association with the registrar and one with the element, one more for each answer that asap-lookup got.
kernel() { ip netns exec "$1" awk -v "name=Sctp$2" '$1 == name { print $2 }' /proc/net/sctp/snmp; }
if [ "$over" = kernel ]; then
    log "$(kernel pu ActiveEstabs) associations, $(kernel pu Shutdowns) of them shut down"
    [ "$(kernel pu ActiveEstabs)" = 4 ] && [ "$(kernel pu Shutdowns)" = 4 ] || fail 'not every association was shut down'
else
    # The kernels of the peers count those of user space; one is the element's with its registrar.
    log "$(kernel pr PassiveEstabs) + $(kernel pe PassiveEstabs) associations"
    [ "$(kernel pr PassiveEstabs)" = 4 ] && [ "$(kernel pe PassiveEstabs)" = 1 ] || fail 'not so many associations'
    [ "$(kernel pr Aborteds)" = 0 ] && [ "$(kernel pe Aborteds)" = 0 ] || fail 'one was broken off'
fi
