# What scenarios are written in: hosts on one bridge, programs on them, and what is expected of what these print.

declare -A pid seen

since_boot() { cut -d' ' -f1 /proc/uptime; }
log() { echo "[$(since_boot)] $*"; }
passed() {
    log passed
    finish
}
fail() {
    log "FAILED: $*"
    finish
    exit 1
}
# What was captured is to be complete.
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
    ip netns add "$1"
    ip link add "v$1" type veth peer name eth0 netns "$1"
    ip link set "v$1" master br0 up
    ip -n "$1" link set lo up
    [ -n "${3-}" ] || ip netns exec "$1" sh -c 'echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6'
    ip -n "$1" addr add "$2/24" dev eth0
    [ -z "${3-}" ] || ip -n "$1" addr add "$3/64" dev eth0 nodad
    ip -n "$1" link set eth0 up
    ip -n "$1" route add 239.0.0.0/8 dev eth0
}

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
    mkfifo "/tmp/$label.in"
    sleep 100000 > "/tmp/$label.in" &
    LD_PRELOAD=/usr/lib/libstdbuf.so _STDBUF_O=L \
        ip netns exec "$host" "$@" < "/tmp/$label.in" >> "/out/$label.log" 2>&1 &
    pid[$label]=$!
    disown
}

# What the scenarios have most of. A registrar is there when its ASAP and ENRP sockets listen (state 10).
registrar() { # LABEL HOST IDENTIFIER [OPTION]...
    local label=$1 host=$2 identifier=$3
    shift 3
    start "$label" "$host" rspregistrar "-identifier=$identifier" -mentordiscoverytimeout=1000 -logcolor=off "$@"
    for _ in $(seq 100); do
        sleep 0.2
        [ "$(ip netns exec "$host" awk '$4 == 10' /proc/net/sctp/eps | wc -l)" -lt 2 ] || return 0
    done
    fail "$label does not listen"
}
element() { # LABEL HOST IDENTIFIER SERVICE [OPTION]...
    local label=$1 host=$2 identifier=$3 service=$4
    shift 4
    start "$label" "$host" rspserver "-$service" "-identifier=$identifier" -logcolor=off "$@"
}

# tell LABEL LINE: one line for its input.
tell() {
    log "$1 < $2"
    echo "$2" > "/tmp/$1.in"
}

# kill_hard LABEL, freeze LABEL: it dies, or stands still, without a word. leave LABEL: it ends in good order.
kill_hard() { signal "$1" KILL; }
freeze() { signal "$1" STOP; }
leave() { signal "$1" INT; }
signal() {
    log "$1: signal $2"
    kill "-$2" "${pid[$1]}"
    rm -f "/tmp/$1.in"
}

# unplug HOST, plug HOST: its cable.
unplug() { log "$1 is cut off" && ip link set "v$1" down; }
plug() { log "$1 is back" && ip link set "v$1" up; }

# expect LABEL PATTERN [SECONDS]: a line that it prints, behind the one expected last, within 30 s or so many.
expect() {
    local from=${seen[$1]:-0} end=$(($(cut -d. -f1 /proc/uptime) + ${3:-30})) line
    while :; do
        line=$(tail -n "+$((from + 1))" "/out/$1.log" 2>/dev/null | grep -nEm1 -e "$2") && break
        [ "$(cut -d. -f1 /proc/uptime)" -lt "$end" ] || fail "$1 did not say: $2"
        sleep 0.1
    done
    seen[$1]=$((from + ${line%%:*}))
    log "$1 > ${line#*:}"
}

# never LABEL PATTERN: a line that it has not printed.
never() {
    ! grep -Em1 -e "$2" "/out/$1.log" || fail "$1 said: $2"
}

# said LABEL PATTERN: how often it has printed that.
said() { grep -cE -e "$2" "/out/$1.log"; }

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
