# Elements that end an association nobody uses: the session rests, and the same one is called when there is something to say
# Nobody is reported.
#= none asap.message_type == 0x9
host pr 10.0.0.1
host pe1 10.0.0.11
host pe2 10.0.0.12
host pu 10.0.0.100
host other 10.0.0.101
registrar pr pr 0x1234 -asap=10.0.0.1:3863
for n in 1 2; do
    start "idle$n" "pe$n" idle "10.0.0.1$n:7" 3
    start "pe$n" "pe$n" elements 10.0.0.1:3863 "10.0.0.1$n:7" "pool,0x$n,0x1"
    expect "pe$n" "^registered pool 0x0000000$n"
done
start pu pu sctp 10.0.0.1:3863
listed pool 2
watch_pool pool
tell pu 'open pool'
expect pu '^connected 0x0000000[12]'
connected
expect pu "^lost 0x0000000$first: the peer closed the channel"
# It rests: whoever has nothing to say calls nobody.
sleep 10
said_all "idle$first" '^begins' 1
for n in 1 2 3; do
    tell pu "send message $n"
    expect pu "^failed over from 0x0000000$first to 0x0000000$first, no cookie"
    expect pu "^received 0x0000000$first .* message $n\$"
    expect pu "^lost 0x0000000$first: the peer closed the channel"
    said_all "idle$first" '^ended for silence' $((n + 1))
done
# As often as there was something to say, and the other one not at all.
said_all "idle$first" '^begins' 4
said_all "idle$second" '^begins' 0
tell pu 'stats'
expect pu '^stats .* channels_closed: 4\b'
never pu '^stats .* (failures|reports_sent|failovers|messages_resent|elements_marked): '
never pu '^session failed'
pool_was_whole 2
