# A registrar that misbehaves, in ways that end the reference pool user; this one survives them all
#= some asap.message_type == 0xe && ip.src == 10.0.0.100
host bad 10.0.0.66
host pu 10.0.0.100
start bad bad registrar 10.0.0.66:3863
expect bad '^listening'
start pu pu sctp 10.0.0.66:3863
# ask HANDLE IDENTIFIERS...: what the pool user makes of it.
ask() {
    local handle=$1 identifier
    shift
    tell pu "resolve $handle"
    expect pu "^pool $handle: policy Round Robin"
    for identifier; do expect pu "^  0x0000000$identifier at"; done
}
ask good 1 2
ask zero 0 2
ask mixed 1 2
ask nopolicy 1 2
ask twin 1 2
ask nowhere 2
ask long 1 2
ask other 1 2
ask empty 1 2
ask twice 1 2
ask cut 1 2
ask noise 1 2
ask unknown 1 2
ask unmarked 1 2
# It ends the association instead of an answer, the first time.
said_all bad '^accepted' 1
ask hangup 1 2
said_all bad '^accepted' 2
said_all bad '^asked for hangup' 2
ask good2 1 2
tell pu 'stats'
expect pu '^stats malformed: [1-9]'
expect bad '^received Error'
never pu '0x00000009'
