# A session with a real element that is killed: another one takes the cookie and goes on where the first one was
#= some asap.message_type == 0xb && ip.dst == 10.0.0.100
#= some asap.message_type == 0xc && ip.src == 10.0.0.100
#= some asap.message_type == 0x9 && ip.dst == 10.0.0.1
host pr 10.0.0.1
host pe1 10.0.0.11
host pe2 10.0.0.12
host pu 10.0.0.100
registrar pr pr 0x1234 -asap=10.0.0.1:3863
element pe1 pe1 0x1 pingpong
element pe2 pe2 0x2 pingpong
start pu pu sctp 10.0.0.1:3863
listed PingPongPool 2
tell pu 'ppid 33'
tell pu 'open PingPongPool'
# ping N: a pong carries N and the number of the reply in this session, which the cookie holds.
ping() { tell pu "hex 0100000c$(printf %016x "$1")"; }
pong() { expect pu "^received 0x0000000[12] 02000014$(printf '%016x%016x' "$1" "$1") "; }
for n in 1 2 3; do ping "$n"; pong "$n"; done
tell pu 'stats'
expect pu '^stats .* cookies: [1-9]'
connected
kill_hard "pe$first"
# Its kernel closes the association in good order. So the session rests, and finds out when there is something to say.
expect pu "^lost 0x0000000$first: the peer closed the channel"
ping 4
expect pu "^failed over from 0x0000000$first to 0x0000000$second, cookie echoed"
pong 4
ping 5
pong 5
never pu '^session failed'
tell pu 'close'
expect pu '^closed'
