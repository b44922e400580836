# A fifth of all packets is lost on links of 576 bytes: discovery, an answer in many fragments, a session whose elements fail
#= some asap.message_type == 0x6 && count(sctp.fragment) > 8
#= some asap.message_type == 0xc && ip.src == 10.0.0.100
host pr 10.0.0.1
for n in 1 2 3 4; do host "pe$n" "10.0.0.1$n"; done
host pu 10.0.0.100
for host in pr pe1 pe2 pe3 pe4 pu; do narrow "$host"; done
# It strikes an element off that does not answer in time, which with packets lost takes longer than its five seconds.
patient_registrar() {
    registrar pr pr 0x1234 -asap=10.0.0.1:3863 -enrp=10.0.0.1:9901 \
        -endpointkeepalivetransmissioninterval=60000 -endpointkeepalivetimeoutinterval=60000
}
patient_registrar
for n in 1 2 3; do element "pe$n" "pe$n" "0x$n" pingpong; done
start crowd pe4 elements 10.0.0.1:3863 10.0.0.14:7 $(printf 'crowd,%d,0x1 ' $(seq 150))
expect crowd '^registered crowd 0x00000096'
all_listed() { [ "$(looked pu -r 10.0.0.1 PingPongPool 2>/dev/null | grep -c '^0x')" = 3 ]; }
within 60 all_listed || fail 'not all elements are listed'
for host in pr pe1 pe2 pe3 pe4 pu; do lossy "$host"; done

start pu pu sctp
tell pu 'resolve crowd'
expect pu '^registrar 10.0.0.1:3863' 60
expect pu '^pool crowd: ' 60
said_all pu '^  0x000000.. at 10.0.0.14:7$' 128
tell pu 'ppid 33'
tell pu 'open PingPongPool'
# A reply is told by what it answers alone: an element may be given up that is there.
ping() { tell pu "hex 0100000c$(printf %016x "$1")"; }
pong() { expect pu "^received 0x0000000[123] 02000014$(printf %016x "$1")" 60; }
for n in $(seq 12); do ping "$n" && pong "$n"; done
current
kill_hard "pe$element"
# Until then its kernel takes what nobody will read.
expect pu "^lost 0x0000000$element: the peer closed the channel" 60
ping 13
pong 13
current
unplug "pe$element"
ping 14
ping 15
expect pu "^failed over from 0x0000000$element to 0x0000000[123], cookie echoed" 60
pong 14
pong 15
log "of $(said pu '^lost ') elements two were gone"

# Or else the registrar's kernel takes minutes to say goodbye there.
plug "pe$element"
kill_hard pr
tell pu 'purge crowd'
patient_registrar
within 60 comes_back crowd || fail 'the registrar does not announce itself'
tell pu 'resolve crowd'
expect pu '^registrar 10.0.0.1:3863' 60
gone crowd 60
never pu '^session failed'
