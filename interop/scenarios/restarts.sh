# The registrar is killed and comes back empty: subscriptions and asap-lookup --watch go on, what was known stays known
#= some asap.message_type == 0x6 && asap.cause_code == 9
host pr 10.0.0.1
host pe 10.0.0.11
host pu 10.0.0.100
registrar pr pr 0x1 -asap=10.0.0.1:3863 -enrp=10.0.0.1:9901
start pe pe elements 10.0.0.1:3863 10.0.0.11:7 pool,0x1,0x1
expect pe '^registered pool 0x00000001'
start pu pu sctp 10.0.0.1:3863
tell pu 'subscribe pool'
expect pu '^  0x00000001 at'
start watch pu asap-lookup --watch=2 -r 10.0.0.1:3863 pool
expect watch '^0x00000001 '

for n in 2 3; do
    kill_hard pr
    expect "pe" 'the registrar is gone'
    gone pe
    expect watch 'the registrar is lost'
    registrar pr pr 0x1 -asap=10.0.0.1:3863 -enrp=10.0.0.1:9901
    expect watch 'registrar: SCTP 10.0.0.1:3863' 60
    # It is asked, several times, and knows nothing.
    sleep 15
    tell pu 'resolve pool'
    expect pu '^pool pool: '
    expect pu '^  0x00000001 at'
    start pe pe elements 10.0.0.1:3863 10.0.0.11:7 "pool,0x1,0x1" "pool,0x$n,0x1"
    expect pe "^registered pool 0x0000000$n"
    expect watch "0x0000000$n " 30
    expect pu '^changed: ' 60
    expect pu "^  0x0000000$n at" 60
done
tell pu 'stats'
expect pu '^stats .* answers_disputed: [1-9]'
never pu 'no such pool|SubscriptionEnded'
never watch 'no such pool'

# A pool that is gone for good is unknown once the grace is over.
kill_hard pr
gone pe
registrar pr pr 0x1 -asap=10.0.0.1:3863 -enrp=10.0.0.1:9901
expect pu '^SubscriptionEnded' 150
gone watch 150
never watch 'unreachable'
