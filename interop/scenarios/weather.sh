# A bad path: packets of 576 bytes, a fifth of them lost, others overtaken; resolution, a session, a failover
#= none ip.len > 576 && udp && ip.src == 10.0.0.100
#= some asap.message_type == 0xc && ip.src == 10.0.0.100
host pr 10.0.0.1
host pe1 10.0.0.11
host pe2 10.0.0.12
host pe3 10.0.0.13
host pu 10.0.0.100
for host in pr pe1 pe2 pe3 pu; do narrow "$host" 576; done
registrar pr pr 0x1234 -asap=10.0.0.1:3863
element pe1 pe1 0x1 pingpong
element pe2 pe2 0x2 pingpong
start crowd pe3 elements 10.0.0.1:3863 10.0.0.13:7 $(for n in $(seq 128); do echo "crowd,$n,0x1"; done)
expect crowd '^registered crowd 0x00000080' 60
start pu pu sctp 10.0.0.1:3863
listed PingPongPool 2
tell pu 'ppid 33'
lossy pu 20
tell pu 'resolve crowd'
expect pu '^pool crowd: ' 60
said_all pu '^  0x000000.. at 10.0.0.13:7$' 128
tell pu 'open PingPongPool'
for n in 1 2 3 4 5; do
    tell pu "hex 0100000c$(printf %016x "$n")"
    expect pu "^received 0x0000000[12] 02000014$(printf %016x "$n")" 60
done
lossy pu 0
connected
unplug "pe$first"
tell pu 'hex 0100000c0000000000000006'
expect pu '^failed over from 0x0000000[12] to 0x0000000[12], cookie echoed' 60
expect pu '^received 0x0000000[12] 020000140000000000000006' 60
never pu '^session failed'
