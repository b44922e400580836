# An element reported as unreachable: after the third report the registrar lists it no more, however well it is
#= some asap.message_type == 0x9 && asap.pe_identifier == 0x00000001
# Reports have no answer.
#= none asap && !(asap.message_type == 0x6) && ip.src == 10.0.0.1 && ip.dst == 10.0.0.100
host pr 10.0.0.1
host pe 10.0.0.11
host pu 10.0.0.100
registrar pr pr 0x1234 -asap=10.0.0.1:3863
start pe pe elements 10.0.0.1:3863 10.0.0.11:7 pool,0x1,0x1 pool,0x2,0x1
expect pe '^registered pool 0x00000002'
start pu pu sctp 10.0.0.1:3863
for n in 1 2 3; do
    tell pu 'resolve pool'
    expect pu '^pool pool: '
    expect pu '^  0x0000000[12] at'
    expect pu '^  0x0000000[12] at'
    tell pu 'select pool 2'
    expect pu '^selected pool: 0x0000000[12] 0x0000000[12]'
    tell pu 'report pool 0x1'
    # While the mark holds it is not reported again; and not more than once a second.
    tell pu 'report pool 0x1'
    # A report that has not left is taken back with its mark.
    sleep 0.5
    tell pu 'trust pool 0x1'
    tell pu 'purge pool'
    sleep 1.5
done
tell pu 'resolve pool'
expect pu '^pool pool: '
expect pu '^  0x00000002 at'
tell pu 'stats'
expect pu '^stats .* reports_sent: 3'
said_all pu '^  0x00000001 at' 3
