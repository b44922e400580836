# The nine policies and seven private ones, four elements each; an answer of 128 elements; an unknown pool
#= some asap.message_type == 0x6 && asap.pool_member_selection_policy_type == 0x40000004
#= some asap.message_type == 0x6 && asap.pool_member_selection_policy_type == 0xb0002003
#= some asap.message_type == 0x5 && asap.hropt_items == 128
host pr 10.0.0.1
host pe 10.0.0.11
host pu 10.0.0.100
registrar pr pr 0x1234 -asap=10.0.0.1:3863
standard='0x1 0x2 0x3 0x4 0x5 0x40000001 0x40000002 0x40000003 0x40000004'
private='0xb0001001 0xb0001002 0xb0001003 0xb0001004 0xb0002001 0xb0002002 0xb0002003'
elements=
for policy in $standard $private; do
    for n in 1 2 3 4; do
        case $policy in
            0x1 | 0x3) values= ;;
            0x2 | 0x4 | 0x5) values=,$n ;;
            0x40000001 | 0x40000004) values=,0x${n}0000000 ;;
            0xb0002001 | 0xb0002002) values=,0x${n}0000000,0x01000000,0 ;;
            0xb0002003) values=,0x${n}0000000,0x01000000,0x01000000,0 ;;
            *) values=,0x${n}0000000,0x01000000 ;;
        esac
        elements+=" $policy,$n,$policy$values"
    done
done
for n in $(seq 150); do elements+=" crowd,$n,0x1"; done
start pe pe elements 10.0.0.1:3863 10.0.0.11:7 $elements
expect pe '^registered 0xb0002003 0x00000004'
expect pe '^registered crowd 0x00000096'
never pe '^refused'

start pu pu sctp 10.0.0.1:3863
# choose HANDLE N: so many times; how often each of the four was chosen.
choose() {
    for n in $(seq "$2"); do tell pu "select $1"; done > /dev/null
    tell pu 'subscribe' > /dev/null
    expect pu '^resolve HANDLE' > /dev/null
    chosen=
    for n in 1 2 3 4; do chosen+=" $(said pu "^selected $1: 0x0000000$n")"; done
    log "$1: chosen$chosen"
}
resolve() {
    tell pu "resolve $1"
    expect pu "^pool $1: policy $2\$"
}
resolve 0x1 'Round Robin \(0x1\)' && choose 0x1 8 && [ "$chosen" = ' 2 2 2 2' ] || fail 'not in turn'
resolve 0x2 'Weighted Round Robin \(0x2\)' && choose 0x2 10 && [ "$chosen" = ' 1 2 3 4' ] || fail 'not by weight'
resolve 0x3 'Random \(0x3\)' && choose 0x3 8
resolve 0x4 'Weighted Random \(0x4\)' && choose 0x4 8
resolve 0x5 'Priority \(0x5\)' && choose 0x5 4 && [ "$chosen" = ' 0 0 0 4' ] || fail 'not by priority'
resolve 0x40000001 'Least Used \(0x40000001\)' && choose 0x40000001 4 && [ "$chosen" = ' 4 0 0 0' ] || fail 'not by load'
# After sixteen choices the first element's degradation has added up to the second one's load.
resolve 0x40000002 'Least Used with Degradation \(0x40000002\)' && choose 0x40000002 18 && [ "$chosen" = ' 17 1 0 0' ] ||
    fail 'not by load and degradation'
resolve 0x40000003 'Priority Least Used \(0x40000003\)' && choose 0x40000003 4 && [ "$chosen" = ' 4 0 0 0' ] ||
    fail 'not by load after one more'
resolve 0x40000004 'Randomized Least Used \(0x40000004\)' && choose 0x40000004 8
for policy in $private; do
    resolve "$policy" "$policy, taken in order"
    choose "$policy" 8
    [ "$chosen" = ' 2 2 2 2' ] || fail 'not in order'
done

tell pu 'resolve crowd'
expect pu '^pool crowd: '
sleep 1
[ "$(said pu '^  0x000000.. at 10.0.0.11:7$')" = $((16 * 4 + 128)) ] || fail 'not 128 elements'
tell pu 'resolve nobody'
expect pu '^failed nobody: no such pool'
tell pu 'stats'
expect pu '^stats '
never pu '(malformed|unknown|unexpected|dropped)[a-z_]*: '
