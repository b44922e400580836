# Registrar and element with IPv4 and IPv6 addresses: one association over both; an address that fails is not noticed
#= some ipv6.dst == fd00::11 && frame contains "one left"
#= some ip.dst == 10.0.0.11 && frame contains "the other left"
#= some sctp.chunk_type == 1 && sctp.parameter_type == 5 && sctp.parameter_type == 6
#= some asap.message_type == 0x6 && asap.ipv6_address == fd00::11 && asap.ipv4_address == 10.0.0.11
host pr 10.0.0.1 fd00::1
host pe 10.0.0.11 fd00::11
host pu 10.0.0.100 fd00::100
registrar pr pr 0x1234
element pe pe 0x1 echo
start pu pu sctp
listed EchoPool 1
expect pu '^  0x00000001 at .*(\[fd00::11\].* 10\.0\.0\.11|10\.0\.0\.11.* \[fd00::11\])'
tell pu 'open EchoPool'
tell pu 'send both'
expect pu '^received 0x00000001 .* both$'
log 'the element loses its IPv4 address'
ip -n pe addr del 10.0.0.11/24 dev eth0
tell pu 'send one left'
expect pu '^received 0x00000001 .* one left$' 10
log 'and gets it back, but loses the IPv6 one'
ip -n pe addr add 10.0.0.11/24 dev eth0
# A heartbeat finds out, within seven seconds.
sleep 8
ip -n pe addr del fd00::11/64 dev eth0
tell pu 'send the other left'
expect pu '^received 0x00000001 .* the other left$' 10
never pu '^(lost|failed over|session failed)'
