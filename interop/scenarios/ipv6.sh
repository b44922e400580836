# A registrar with nothing but IPv6, found by its announce there; with a group and an interface, and by its address
#= some asap.message_type == 0xa && ipv6.dst == ff05::133
#= none asap && ip
host pr 10.0.0.1 fd00::1
host pe 10.0.0.11 fd00::11
host pu 10.0.0.100 fd00::100
registrar pr pr 0x1234 '-asap=[fd00::1]:3863' '-enrp=[fd00::1]:9901' '-asapannounce=[ff05::133]:3863'
start pe pe elements fd00::1:3863 fd00::11:7 pool,0x1,0x1
expect pe '^registered pool 0x00000001'
lookup 0 '^0x00000001 .* \[fd00::11\]:7' -r fd00::1 pool
lookup 0 '^0x00000001 .* \[fd00::11\]:7' --group ff05::133 --interface eth0 pool
lookup 5 'for IPv4 an interface is given by its address' --interface eth0 pool
start pu pu sctp
tell pu 'resolve pool'
expect pu '^registrar \[fd00::1\]:3863'
expect pu '^  0x00000001 at \[fd00::11\]:7'
