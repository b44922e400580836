# The registrar is killed and restarted, then dies and is replaced by a second one; subscriptions and requests go on
#= some asap.message_type == 0x6 && ip.src == 10.0.0.2
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
expect pu '^registrar 10.0.0.1:3863' 60
expect pu '^failed pool: no such pool'
start pe_again pe elements 10.0.0.1:3863 10.0.0.11:7 pool,0x1,0x1
expect pe_again '^registered pool 0x00000001'
tell pu 'resolve pool'
expect pu '^  0x00000001 at'

registrar pr2 pr2 0x2 -asap=10.0.0.2:3863 -enrp=10.0.0.2:9901
# Until the two registrars know each other, and with that the second one the pool.
sleep 8
kill_hard pr1
gone pe_again
tell pu 'purge pool'
tell pu 'resolve pool'
expect pu '^registrar 10.0.0.2:3863' 60
expect pu '^pool pool: '
expect pu '^  0x00000001 at'
