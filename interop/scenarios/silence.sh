# The host of a session's element is cut off, with messages on their way and without: noticed, and nothing is lost
#= some asap.message_type == 0xc && ip.src == 10.0.0.100
host pr 10.0.0.1
host pe1 10.0.0.11
host pe2 10.0.0.12
host pu 10.0.0.100
registrar pr pr 0x1234 -asap=10.0.0.1:3863
element pe1 pe1 0x1 pingpong
element pe2 pe2 0x2 pingpong
start pu pu sctp 10.0.0.1:3863
listed PingPongPool 2
tell pu 'ppid 33'
tell pu 'open PingPongPool'
tell pu 'hex 0100000c0000000000000001'
expect pu '^received 0x0000000[12] 0200001400000000000000010000000000000001 '
connected
unplug "pe$first"
tell pu 'hex 0100000c0000000000000002'
tell pu 'hex 0100000c0000000000000003'
expect pu "^failed over from 0x0000000$first to 0x0000000$second, cookie echoed" 40
expect pu '^received .* 0200001400000000000000020000000000000002 '
expect pu '^received .* 0200001400000000000000030000000000000003 '

plug "pe$first"
# Nothing is on its way this time.
sleep 3
unplug "pe$second"
expect pu "^failed over from 0x0000000$second to 0x0000000$first, cookie echoed" 90
tell pu 'hex 0100000c0000000000000004'
expect pu '^received .* 0200001400000000000000040000000000000004 '
never pu '^session failed'
