# Pool user first, then a registrar on a random port, found by its announce; unknown pool; in good order to the end
#= some asap.message_type == 0xa && udp.dstport == 3863 && udp.srcport != 3863
#= some asap.message_type == 0x5 && sctp.dstport != 3863
#= some sctp.chunk_type == 14 && ip.src == 10.0.0.100
#= none sctp.chunk_type == 6 && ip.src == 10.0.0.100
host pr 10.0.0.1
host pe 10.0.0.11
host pu 10.0.0.100
start pu pu sctp
tell pu 'resolve EchoPool'
expect pu '^NoRegistrarKnown'
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
ip netns exec pu asap-lookup EchoPool || fail 'asap-lookup did not find the pool'
ip netns exec pu asap-lookup NoSuchPool && fail 'asap-lookup found a pool that is not there'
ip netns exec pu asap-lookup -r 10.0.0.11 EchoPool 2> /out/refused.log && fail 'asap-lookup found a registrar where none is'
grep -q 'reached: 10.0.0.11:3863: Connection refused' /out/refused.log || fail "asap-lookup said: $(cat /out/refused.log)"
tell pu 'stats'
expect pu '^stats '
never pu '(malformed|unknown|unexpected)[a-z_]*: '
tell pu 'quit'
gone pu
never pu 'not everything'
