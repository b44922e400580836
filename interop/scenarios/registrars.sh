# The registrar is killed and restarted, then dies and is replaced by a second one; subscriptions and requests go on
#= some asap.message_type == 0x6 && ip.src == 10.0.0.2
# Updates are asked for, by the S bit, and not granted, by the A bit.
#= some asap.message_type == 0x5 && asap.message_flags & 1
#= none asap.message_type == 0x6 && asap.message_flags & 1
host pr1 10.0.0.1
host pr2 10.0.0.2
host pe 10.0.0.11
host pu 10.0.0.100
registrar pr1 pr1 0x1 -asap=10.0.0.1:3863 -enrp=10.0.0.1:9901
start pe pe elements 10.0.0.1:3863 10.0.0.11:7 pool,0x1,0x1
expect pe '^registered pool 0x00000001'
start pu pu sctp
tell pu 'resolve pool'
expect pu '^registrar 10.0.0.1:3863'
expect pu '^  0x00000001 at'

kill_hard pr1
expect pe 'the registrar is gone'
gone pe
tell pu 'purge pool'
tell pu 'resolve pool'
expect pu '^(RegistrarLost|NoRegistrar)'
registrar pr1 pr1 0x1 -asap=10.0.0.1:3863 -enrp=10.0.0.1:9901
within 60 comes_back pool || fail 'the registrar does not announce itself'
# Once more, should the first request have come to its end meanwhile.
tell pu 'resolve pool'
expect pu '^registrar 10.0.0.1:3863' 60
expect pu '^failed pool: no such pool'
start pe_again pe elements 10.0.0.1:3863 10.0.0.11:7 pool,0x1,0x1
expect pe_again '^registered pool 0x00000001'
tell pu 'resolve pool'
expect pu '^  0x00000001 at'
tell pu 'subscribe pool'

registrar pr2 pr2 0x2 -asap=10.0.0.2:3863 -enrp=10.0.0.2:9901
# Until the two registrars know each other, and with that the second one the pool.
asked() { looked pu -r 10.0.0.2:3863 pool > /dev/null 2>&1; }
within 60 asked || fail 'the second registrar does not know the pool'
kill_hard pr1
gone pe_again
tell pu 'purge pool'
tell pu 'resolve pool'
expect pu '^registrar 10.0.0.2:3863' 60
expect pu '^pool pool: '
expect pu '^  0x00000001 at'
start pe2 pe elements 10.0.0.2:3863 10.0.0.11:7 pool,0x2,0x1
expect pe2 '^registered pool 0x00000002'
expect pu '^changed: 1 joined' 60
expect pu '^  0x00000002 at' 60
