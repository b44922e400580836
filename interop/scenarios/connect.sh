# asap-connect with the services of a real element: pingpong, whose element is killed under way, echo, and daytime
#= some asap.message_type == 0xb && ip.dst == 10.0.0.100
#= some asap.message_type == 0xc && ip.src == 10.0.0.100
host pr 10.0.0.1
host pe1 10.0.0.11
host pe2 10.0.0.12
host pe3 10.0.0.13
host pe4 10.0.0.14
host pu 10.0.0.100
registrar pr pr 0x1234 -asap=10.0.0.1:3863
element pe1 pe1 0x1 pingpong
element pe2 pe2 0x2 pingpong
element pe3 pe3 0x3 echo
element pe4 pe4 0x4 daytime
there() { looked pu -r 10.0.0.1:3863 --timeout 20 "$1" 2>/dev/null | grep -c "^0x" | grep -qx "$2"; }
for pool in PingPongPool:2 EchoPool:1 DaytimePool:1; do
    within 120 there "${pool%:*}" "${pool#*:}" || fail "$pool is not registered"
done

start connect pu asap-connect -r 10.0.0.1:3863 --hex --ppid 33 PingPongPool
# A pong carries the number of the ping and that of the reply in this session, which the cookie holds.
ping() { tell connect "0100000c$(printf %016x "$1")"; }
pong() { expect connect "^02000014$(printf '%016x%016x' "$1" "$1")\$"; }
expect connect '^asap-connect: connected to 0x0000000[12]'
first=$(grep -om1 'connected to 0x0000000[12]' /out/connect.log | tail -c 2)
second=$((3 - first))
for n in 1 2 3; do ping "$n"; pong "$n"; done
kill_hard "pe$first"
expect connect "^asap-connect: lost 0x0000000$first: the peer closed the channel"
ping 4
expect connect "^asap-connect: failed over from 0x0000000$first to 0x0000000$second, which has its cookie"
for n in 4 5; do pong "$n"; [ "$n" = 5 ] || ping 5; done
never connect 'not delivered'

# Between other programs, with input that ends.
answers=$(printf 'one\ntwo\n' | (at pu asap-connect -r 10.0.0.1:3863 --quiet --wait=5 EchoPool))
log "echo: ${answers//$'\n'/, }"
[ "$answers" = $'one\ntwo' ] || fail 'that is not what was sent'
# Who is served without asking is so without input.
answers=$( (at pu asap-connect -r 10.0.0.1:3863 --quiet --wait=10 DaytimePool) < /dev/null)
log "daytime: $answers"
[ -n "$answers" ] || fail 'nobody told the time'
status=0
(at pu asap-connect -r 10.0.0.1:3863 --quiet --timeout 20 NoPool) < /dev/null 2> /out/none.log || status=$?
[ "$status" = 1 ] && grep -q 'NoPool: no such pool' /out/none.log || fail "a pool that is not there: $status"
