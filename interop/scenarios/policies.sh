# The nine policies and seven private ones, four elements each; an answer of 128 elements; an unknown pool
#= some asap.message_type == 0x6 && asap.pool_member_selection_policy_type == 0x40000004
#= some asap.message_type == 0x6 && asap.pool_member_selection_policy_type == 0xb0002003
# A negative answer has no policy, and keep-alives name an element.
#= some asap.message_type == 0x6 && asap.cause_code == 9
#= none asap.message_type == 0x6 && asap.cause_code && asap.pool_member_selection_policy_type
#= none asap.message_type == 0x7 && !asap.pe_identifier
#= some asap.message_type == 0x5 && asap.hropt_items == 128
#= some asap.message_type == 0x6 && count(sctp.fragment) == 4
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
# choose HANDLE N: so many times. Sets `order` to the last digits of those chosen, `counts` to how often each one was.
choose() {
    local n
    for n in $(seq "$2"); do tell pu "select $1"; done > /dev/null
    # It has done all that when it answers this.
    tell pu 'help' > /dev/null
    expect pu '^resolve HANDLE' > /dev/null
    order=$(sed -n "s/^selected $1: 0x0000000\([1-4]\)$/\1/p" /out/pu.log | tr -d '\n')
    for n in 1 2 3 4; do counts[n]=$(said pu "^selected $1: 0x0000000$n\$"); done
    log "$1: $order, chosen ${counts[*]} times"
    [ "${#order}" = "$2" ] || fail "${#order} choices, not $2"
}
# resolve HANDLE POLICY: sets `list` to the last digits of its elements, in the registrar's order.
resolve() {
    tell pu "resolve $1"
    expect pu "^pool $1: policy $2\$"
    list=
    for _ in 1 2 3 4; do
        expect pu '^  0x0000000[1-4] at' > /dev/null
        list+=$(sed -n "${seen[pu]}s/^  0x0000000\(.\).*/\1/p" /out/pu.log)
    done
}
in_turn() { [ "$order" = "$list$list" ] || fail "not in turn from $list"; }
by() { [ "${counts[*]}" = "$2" ] || fail "not by $1"; }
# With so many choices as are made below, chance leaves one of them out once in a million runs.
each() { [[ $order = *1* && $order = *2* && $order = *3* && $order = *4* ]] || fail 'not each of them'; }
resolve 0x1 'Round Robin \(0x1\)'
choose 0x1 8
in_turn
resolve 0x2 'Weighted Round Robin \(0x2\)'
choose 0x2 10
by weight '1 2 3 4'
resolve 0x3 'Random \(0x3\)'
choose 0x3 60
each
resolve 0x4 'Weighted Random \(0x4\)'
choose 0x4 100
# Four to one in the mean.
[ "${counts[4]}" -gt "${counts[1]}" ] || fail 'the heaviest is not chosen more often than the lightest'
resolve 0x5 'Priority \(0x5\)'
choose 0x5 4
by priority '0 0 0 4'
resolve 0x40000001 'Least Used \(0x40000001\)'
choose 0x40000001 4
by load '4 0 0 0'
# After sixteen choices the first element's degradation has added up to the second one's load.
resolve 0x40000002 'Least Used with Degradation \(0x40000002\)'
choose 0x40000002 18
by 'load and degradation' '17 1 0 0'
resolve 0x40000003 'Priority Least Used \(0x40000003\)'
choose 0x40000003 4
by 'load after one more' '4 0 0 0'
resolve 0x40000004 'Randomized Least Used \(0x40000004\)'
choose 0x40000004 60
each
for policy in $private; do
    resolve "$policy" "$policy, taken in order"
    choose "$policy" 8
    in_turn
done

tell pu 'resolve crowd'
expect pu '^pool crowd: '
tell pu 'stats'
expect pu '^stats '
said_all pu '^  0x000000.. at 10.0.0.11:7$' $((16 * 4 + 128))
tell pu 'resolve nobody'
expect pu '^failed nobody: no such pool'
tell pu 'stats'
expect pu '^stats '
never pu '(malformed|unknown|unexpected|dropped)[a-z_]*: '
