# What scenarios are written in: hosts on one bridge, programs on them, and what is expected of what these print.

declare -A pid seen

since_boot() { cut -d' ' -f1 /proc/uptime; }
log() { echo "[$(since_boot)] $*"; }
fail() {
    log "FAILED: $*"
    exit 1
}
# What is said last: whoever was not to end is still there.
passed() {
    local label
    for label in "${!pid[@]}"; do runs "$label" || fail "$label has ended: $(tail -n 3 "/out/$label.log")"; done
    log passed
}
# Any command that fails ends a scenario; in a subshell, that is for the one around it to say.
set -eE
trap '[ "$BASH_SUBSHELL" != 0 ] || log "FAILED: $BASH_COMMAND"' ERR
# However it ends, what was captured is to be complete.
trap finish EXIT
finish() {
    sleep 1
    kill -INT "$dump"
    wait "$dump"
}

# host NAME IPV4 [IPV6]: a network namespace with one interface. Multicast goes out of it, and there is no IPv6 unless
# it has an address.
host() {
    ip link show br0 >/dev/null 2>&1 ||
        { ip link add br0 type bridge mcast_snooping 0 forward_delay 0 && ip link set br0 up && capture; }
    if [ "$over:$1" = raw:pu ]; then
        ip link set eth0 master br0 up
        ip addr add 10.0.0.250/24 dev br0
        within 120 afar true < /dev/null || fail 'the machine of the pool user is not there'
        return
    fi
    ip netns add "$1"
    ip link add "v$1" type veth peer name eth0 netns "$1"
    ip link set "v$1" master br0 up
    ip -n "$1" link set lo up
    [ -n "${3-}" ] || ip netns exec "$1" sh -c 'echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6'
    ip -n "$1" addr add "$2/24" dev eth0
    [ -z "${3-}" ] || ip -n "$1" addr add "$3/64" dev eth0 nodad
    ip -n "$1" link set eth0 up
    ip -n "$1" route add 239.0.0.0/8 dev eth0
    # Its kernel takes SCTP over UDP too, and answers so.
    [ "$over" != udp ] || encapsulates "$1" 9899
}
# encapsulates HOST PORT: takes SCTP over UDP at that port, or, with 0, not.
encapsulates() { ip netns exec "$1" sh -c "echo $2 > /proc/sys/net/sctp/udp_port"; }

# at HOST COMMAND...: becomes it, there; so this is for subshells.
at() {
    local host=$1
    shift
    # Over what its SCTP goes.
    case $over:$1 in
        udp:sctp | udp:asap-lookup | udp:asap-connect) set -- "$1" --encapsulate "${@:2}" ;;
        raw:sctp | raw:asap-lookup | raw:asap-connect) [ "$host" != pu ] || set -- "$1" --raw "${@:2}" ;;
    esac
    case $over:$host in
        raw:pu) afar "$@" ;;
        *) exec ip netns exec "$host" "$@" ;;
    esac
}
# afar COMMAND...: runs it in the machine that is the pool user's host; its exit status is said behind what it prints.
afar() { nc 10.0.0.100 9000 < <(printf '%q ' "$@"; echo '2>&1; echo "status $?"; exit'; exec cat); }

# All traffic between hosts, for the dissector.
capture() {
    tcpdump -Z root -i br0 -U -s 0 -w /out/capture.pcap >/dev/null 2>&1 &
    dump=$!
    sleep 1
}

# start LABEL HOST COMMAND...: in the background; what it prints goes to LABEL.log, and `tell` writes to its input.
start() {
    local label=$1 host=$2
    shift 2
    rm -f "/tmp/$label.in"
    mkfifo "/tmp/$label.in"
    sleep 100000 > "/tmp/$label.in" &
    LD_PRELOAD=/usr/lib/libstdbuf.so _STDBUF_O=L \
        at "$host" "$@" < "/tmp/$label.in" >> "/out/$label.log" 2>&1 &
    pid[$label]=$!
    disown
}

# listens HOST N: whether so many SCTP sockets do there.
listens() { [ "$(ip netns exec "$1" awk '$4 == 10' /proc/net/sctp/eps | wc -l)" -ge "$2" ]; }

# rests HOST: whether no association is left there. Those of a process that is killed hold its ports until their peers
# have confirmed the end, and who wants to listen at one gives up.
rests() { [ "$(ip netns exec "$1" cat /proc/net/sctp/assocs | wc -l)" -le 1 ]; }

# What the scenarios have most of. A registrar is there when its ASAP and ENRP sockets listen.
registrar() { # LABEL HOST IDENTIFIER [OPTION]...
    local label=$1 host=$2 identifier=$3
    shift 3
    within 60 rests "$host" || fail "the ports of $host are still in use"
    start "$label" "$host" rspregistrar "-identifier=$identifier" -mentordiscoverytimeout=1000 -logcolor=off "$@"
    within 30 listens "$host" 2 || fail "$label does not listen"
}
# comes_back POOL: whether a registrar announces itself that has not heard of the pool, as one does that was restarted.
comes_back() {
    local status=0
    looked pu "$1" > /dev/null 2>&1 || status=$?
    [ "$status" = 1 ]
}
element() { # LABEL HOST IDENTIFIER SERVICE [OPTION]...
    local label=$1 host=$2 identifier=$3 service=$4
    shift 4
    start "$label" "$host" rspserver "-$service" "-identifier=$identifier" -logcolor=off "$@"
}

# tell LABEL LINE: one line for its input. Opened for reading too, because a FIFO that nobody reads blocks its writer.
tell() {
    log "$1 < $2"
    runs "$1" || fail "$1 has ended: $(tail -n 3 "/out/$1.log")"
    echo "$2" 1<> "/tmp/$1.in"
}

# kill_hard LABEL, freeze LABEL: it dies, or stands still, without a word.
kill_hard() {
    log "$1 is killed"
    kill -KILL "${pid[$1]}"
    gone "$1"
}
freeze() {
    log "$1 stands still"
    kill -STOP "${pid[$1]}"
}
# gone LABEL [SECONDS]: it ends, as it should, within ten seconds or so many.
gone() {
    within "${2:-10}" ended "$1" || fail "$1 does not end"
    unset "pid[$1]"
}
runs() { [ -n "${pid[$1]-}" ] && kill -0 "${pid[$1]}" 2>/dev/null; }
ended() { ! runs "$1"; }

# lossy HOST: it gets four packets of five that are sent to it. narrow HOST: packets to it and from it are short.
lossy() { tc qdisc add dev "v$1" root netem loss 20%; }
narrow() { ip link set "v$1" mtu 576 && ip -n "$1" link set eth0 mtu 576; }

# unplug HOST, plug HOST: its cable.
unplug() { log "$1 is cut off" && ip link set "v$1" down; }
plug() { log "$1 is back" && ip link set "v$1" up; }

# within SECONDS COMMAND...: whether it succeeds before so many have passed.
within() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 0.1
    done
}

# expect LABEL PATTERN [SECONDS]: a line that it prints, behind the one expected last, within 30 s or so many.
expect() {
    local from=${seen[$1]:-0} line
    within "${3:-30}" next_line "$1" "$2" || fail "$1 did not say: $2"
    seen[$1]=$((from + ${line%%:*}))
    log "$1 > ${line#*:}"
}
next_line() { line=$(tail -n "+$((from + 1))" "/out/$1.log" 2>/dev/null | grep -nEm1 -e "$2"); }

# never LABEL PATTERN: a line that it has not printed.
never() {
    ! grep -Em1 -e "$2" "/out/$1.log" || fail "$1 said: $2"
}

# said LABEL PATTERN: how often it has printed that.
said() { grep -cE -e "$2" "/out/$1.log" || true; }

# said_all LABEL PATTERN N [SECONDS]: it has printed that so often, no less within 30 s or so many, and no more.
said_all() {
    within "${4:-30}" said_enough "$@" || true
    [ "$(said "$1" "$2")" = "$3" ] || fail "$1 said $(said "$1" "$2") times, not $3: $2"
}
said_enough() { [ "$(said "$1" "$2")" -ge "$3" ]; }

# listed HANDLE N: the pool user `pu` asks until the registrar lists so many elements.
listed() {
    local from
    for _ in $(seq 60); do
        from=$(($(wc -l < /out/pu.log) + 1))
        tell pu "resolve $1"
        sleep 1
        [ "$(tail -n "+$from" /out/pu.log | grep -c '^  0x')" -lt "$2" ] || return 0
        tell pu "purge $1"
    done
    fail "$1 has not $2 elements"
}

# watch_pool HANDLE: somebody who has nothing to do with it looks again and again who is in the pool, from the host
# `other`. pool_was_whole N: there were always so many elements, and that was looked at often enough to say so.
watch_pool() {
    local found
    while sleep 0.5; do
        # One that gets no answer in time has not seen anything.
        found=$(looked other -r 10.0.0.1 --timeout 20 "$1" 2>/dev/null) && grep -c '^0x' <<< "$found"
    done >> /out/watch.log &
    disown
}
pool_was_whole() {
    log "somebody else saw, so often, so many elements: $(sort /out/watch.log | uniq -c | tr -s '\n' ' ')"
    never watch "^[^$1]"
    [ "$(said watch "^$1\$")" -ge 5 ] || fail 'nobody looked at the pool'
}

# connected: which one of two elements the session of `pu` was connected to `first`, and which one is the `second`.
connected() {
    first=$(grep -om1 '^connected 0x0000000[12]' /out/pu.log | tail -c 2)
    second=$((3 - first))
}

# looked HOST ARGUMENT...: runs `asap-lookup` there.
looked() {
    local output status=0
    output=$(at "$1" asap-lookup "${@:2}" 2>&1 < /dev/null) || status=$?
    echo "$output"
    [ "$over:$1" != raw:pu ] || status=$(sed -n '$s/^status //p' <<< "$output")
    return "$status"
}

# current: which `element`, by its last digit, the session of `pu` has heard of last.
current() { element=$(grep -o '^received 0x0000000[0-9]' /out/pu.log | tail -n 1 | tail -c 2); }

# lookup STATUS WORDS ARGUMENT...: with what, and with which words, `asap-lookup` ends on the host `pu`.
lookup() {
    local status=0
    log "asap-lookup ${*:3}"
    looked pu "${@:3}" > /out/lookup.log 2>&1 || status=$?
    [ "$status" = "$1" ] && grep -qEe "$2" /out/lookup.log || fail "it ended with $status: $(cat /out/lookup.log)"
}
