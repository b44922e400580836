# Hosts that take SCTP over UDP and some that do not, which is found out soon and said; IPv4 and IPv6
over=udp
#= some sctp && udp.port == 9899 && ip.src == 10.0.0.100
#= some asap.message_type == 0x6 && ipv6 && udp.port == 9899
#= some icmp.type == 3 && icmp.code == 3
#= none sctp.chunk_type == 6 && ip.src == 10.0.0.100
host pr 10.0.0.1 fd00::1
host pe1 10.0.0.11
host pe2 10.0.0.12
host pu 10.0.0.100 fd00::100
registrar pr pr 0x1234
element pe1 pe1 0x1 echo
element pe2 pe2 0x2 echo
start pu pu sctp
expect pu '^sctp: SCTP in user space over UDP port 9899, as told'
listed EchoPool 2
port=$(sed -n 's/^registrar 10.0.0.1:\([0-9]*\).*/\1/p' /out/pu.log | head -n 1)
lookup 0 '^0x00000002 ' -r "10.0.0.1:$port" EchoPool
lookup 0 '^0x00000002 ' -r "[fd00::1]:$port" EchoPool

# One that does not take it any more refuses: the other one serves, at once.
encapsulates pe1 0
for n in 1 2; do
    tell pu 'open EchoPool'
    tell pu "send hello $n"
    expect pu "^received 0x00000002 .* hello $n\$" 5
done
# One whose answers do not get through is silent.
encapsulates pe1 9899
ip -n pe1 route add blackhole 10.0.0.100
tell pu 'purge EchoPool'
listed EchoPool 2
for n in 3 4; do
    tell pu 'open EchoPool'
    tell pu "send hello $n"
    expect pu "^received 0x00000002 .* hello $n\$" 12
done
encapsulates pr 0
lookup 3 'reached: SCTP 10.0.0.1:'"$port"': SCTP over UDP port 9899 is refused: .*net.sctp.udp_port' -r "10.0.0.1:$port" EchoPool
encapsulates pr 9899
ip -n pr route add blackhole 10.0.0.100
lookup 3 'reached: SCTP 10.0.0.1:'"$port"': no answer to SCTP over UDP port 9899: .*net.sctp.udp_port' -r "10.0.0.1:$port" --timeout 8 EchoPool
never pu '^session failed'
