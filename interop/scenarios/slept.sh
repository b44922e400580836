# The machine sleeps for a minute: what was known before is old afterwards, and asked for again
#= some asap.message_type == 0x5 && ip.src == 10.0.0.100
host pr 10.0.0.1
host pe 10.0.0.11
host pu 10.0.0.100
registrar pr pr 0x1234 -asap=10.0.0.1:3863 -enrp=10.0.0.1:9901
start pe pe elements 10.0.0.1:3863 10.0.0.11:7 pool,0x1,0x1
expect pe '^registered pool 0x00000001'
start pu pu sctp 10.0.0.1:3863
tell pu 'resolve pool'
expect pu '^  0x00000001 at 10.0.0.11:7'
asked() { tell pu 'stats' && expect pu "^stats .*[ ,]requests_sent: $1,"; }
tell pu 'resolve pool'
expect pu '^  0x00000001 at 10.0.0.11:7'
asked 1
log 'the machine falls asleep'
echo +60 > /sys/class/rtc/rtc0/wakealarm
echo mem > /sys/power/state
log 'and wakes'
tell pu 'resolve pool'
expect pu '^  0x00000001 at 10.0.0.11:7'
asked 2
