# A service that says something to everybody who comes and closes: that is read once, and is no failure of its elements
# Nobody is reported.
#= none asap.message_type == 0x9
host pr 10.0.0.1
host pe1 10.0.0.11
host pe2 10.0.0.12
host pu 10.0.0.100
host other 10.0.0.101
registrar pr pr 0x1234 -asap=10.0.0.1:3863
element pe1 pe1 0x1 daytime
element pe2 pe2 0x2 daytime
start pu pu sctp 10.0.0.1:3863
listed DaytimePool 2
watch_pool DaytimePool
tell pu 'open DaytimePool'
expect pu '^connected 0x0000000[12]'
connected
expect pu "^received 0x0000000$first "
expect pu "^lost 0x0000000$first: the peer closed the channel"
# What the time is was read; nobody is called again for it.
sleep 10
tell pu 'stats'
expect pu '^stats .* channels_closed: 1\b'
said_all pu '^received ' 1
# Who asks it something is not heard, or too late: that is tried less and less often for a minute, and told in the end.
tell pu 'ask what else?'
expect pu '^(Returned|Lost) .*what else' 120
tell pu 'stats'
expect pu '^stats .* channels_closed: ([2-9]|1[0-4])\b'
never pu '^stats .* (failures|reports_sent|elements_marked): '
never pu '^session failed'
tell pu 'close'
expect pu '^closed'
pool_was_whole 2
