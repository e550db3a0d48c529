# SPDX-License-Identifier: BSD-3-Clause
# A laboratory of network namespaces, for quickstart and the tests that need real peers. Source it, then:
#
#   lab_begin "$@"              # first: private mounts (own /run/wireguard), clean-up on every exit
#   lab_ns client gw lan        # namespaces
#   lab_wire client eth0 198.51.100.10/24 gw wan      # a veth pair; the gateway's end has no address: DPDK owns it
#   lab_host gw                 # a port to the kernel of that namespace
#   lab_daemon gw pipeline.yaml # tailraced there with ports for every wire that ends in it; waits until it runs
#   lab client ping -c1 …       # a command in a namespace
#   lab_check 'TEXT' COMMAND…   # prints PASS or FAIL and the text; a FAIL makes the script end with 1
#
# lab_switch makes a namespace that can stand for a gateway in lab_wire: all wires that end in it are one Ethernet.
# lab_trunk joins a gateway to it.
#
# Everything lives under names made from the process id and is removed at exit. $LAB_DIR is a scratch directory.

LAB_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
: "${LAB_BUILD:=$LAB_ROOT/build}"

lab_begin() {
	if [ -z "${LAB_INNER:-}" ]; then
		[ "$(id -u)" = 0 ] || { echo "needs root: network namespaces" >&2; exit 1; }
		LAB_INNER=1 exec unshare -m --propagation private "$0" "$@"
	fi
	LAB_ID=tr$$
	LAB_DIR=$(mktemp -d)
	LAB_PIDS=()
	LAB_NS=()
	declare -gA LAB_PORTS=()
	mkdir -p /run/wireguard /run/netns
	mount -t tmpfs tmpfs /run/wireguard
	mount -t tmpfs tmpfs /run/netns # names of namespaces die with us, whatever ends us
	chmod 755 /run/wireguard
	trap lab_end EXIT
	trap 'exit 130' INT TERM
}

lab_end() {
	local code=$? pid ns
	set +e # what is gone already must not end the clean-up
	trap - EXIT
	for pid in "${LAB_PIDS[@]}"; do kill "$pid" 2>/dev/null; done
	for pid in "${LAB_PIDS[@]}"; do
		for _ in $(seq 50); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
		kill -9 "$pid" 2>/dev/null
		wait "$pid" 2>/dev/null
	done
	for ns in "${LAB_NS[@]}"; do ip netns del "$ns" 2>/dev/null; done
	[ ! -e "$LAB_DIR/failed" ] || case $code in 0 | 77) code=1 ;; esac
	if [ "$code" != 0 ] && [ "$code" != 77 ] && [ "$code" != 130 ] && [ -n "${LAB_KEEP_LOGS:-1}" ]; then
		for log in "$LAB_DIR"/*.log; do
			[ -s "$log" ] && { echo "--- $(basename "$log")"; tail -n 25 "$log"; } >&2
		done
	fi
	rm -rf "$LAB_DIR"
	exit "$code"
}

lab_ns() {
	local ns
	for ns; do
		ip netns add "$LAB_ID-$ns"
		LAB_NS+=("$LAB_ID-$ns")
		ip -n "$LAB_ID-$ns" link set lo up
	done
}

lab() {
	local ns=$1
	shift
	ip netns exec "$LAB_ID-$ns" "$@"
}

# A command in the background; its output goes to $LAB_DIR/NAME.log. Sets LAB_PID.
lab_start() {
	local name=$1 ns=$2
	shift 2
	: > "$LAB_DIR/$name.log" # here, not in the child: nobody may read what the one before wrote as this one's
	ip netns exec "$LAB_ID-$ns" "$@" > "$LAB_DIR/$name.log" 2>&1 < /dev/null &
	LAB_PID=$!
	LAB_PIDS+=("$LAB_PID")
}

# lab_wire NS IF ADDRESS[,ADDRESS…] GATEWAY-NS PORT
lab_wire() {
	local ns=$1 if=$2 addresses=$3 gw=$4 port=$5 a
	ip -n "$LAB_ID-$ns" link add "$if" type veth peer name "$port" netns "$LAB_ID-$gw"
	# DPDK's sockets carry no checksum offload: the kernel must fill checksums in.
	lab "$ns" ethtool -K "$if" tx off > /dev/null
	lab "$gw" ethtool -K "$port" tx off > /dev/null
	lab "$gw" sysctl -qw "net.ipv6.conf.$port.disable_ipv6=1" "net.ipv4.conf.$port.arp_ignore=8"
	for a in ${addresses//,/ }; do
		case $a in
		*:*) ip -n "$LAB_ID-$ns" addr add "$a" dev "$if" nodad ;;
		*) ip -n "$LAB_ID-$ns" addr add "$a" dev "$if" ;;
		esac
	done
	ip -n "$LAB_ID-$ns" link set "$if" up
	ip -n "$LAB_ID-$gw" link set "$port" up
	LAB_PORTS[$gw]+=" $port"
}

# lab_host GATEWAY: a host port there, named host.
lab_host() { LAB_PORTS[$1]+=" host"; }

lab_switch() {
	lab_ns "$1"
	ip -n "$LAB_ID-$1" link add br0 type bridge mcast_snooping 0
	ip -n "$LAB_ID-$1" link set br0 up
}

# lab_trunk SWITCH SWITCH-PORT GATEWAY-NS PORT
lab_trunk() {
	lab_wire "$1" "$2" '' "$3" "$4"
	ip -n "$LAB_ID-$1" link set "$2" master br0
}

# lab_plug NS IF ADDRESS[,ADDRESS…] SWITCH PORT
lab_plug() {
	lab_wire "$@"
	ip -n "$LAB_ID-$4" link set "$5" master br0
}

# lab_check TEXT COMMAND…: may run in a background subshell as well. A failed one says what its command printed.
lab_check() {
	local text=$1 log=$LAB_DIR/check.$BASHPID
	shift
	if "$@" > "$log" 2>&1; then
		echo "PASS  $text"
		return 0
	fi
	echo "FAIL  $text"
	: > "$LAB_DIR/failed"
	tail -n 15 "$log" | sed 's/^/      | /'
	return 1
}

# lab_echoes NS ADDRESS SECONDS-BETWEEN [WINDOW]: echo requests in the background, as tests/lab/echoes sends them, until
# lab_echoed, which tells whether all were answered, and sets LAB_LOST.
lab_echoes() {
	lab_start echoes "$1" "$LAB_ROOT/tests/lab/echoes" "$2" 60000 "${@:3}"
	LAB_ECHOES=$LAB_PID
	lab_wait "the first echo request" grep -q '^began' "$LAB_DIR/echoes.log"
}
lab_echoed() {
	local rc=0
	kill -INT "$LAB_ECHOES"
	wait "$LAB_ECHOES" || rc=1
	cat "$LAB_DIR/echoes.log"
	LAB_LOST=$(sed -n 's/.* sent, \([0-9]*\) lost.*/\1/p' "$LAB_DIR/echoes.log")
	return $rc
}

# lab_grep …: grep -q at the end of a pipe. It reads all: a writer that is cut off (nft writes line by line) fails under pipefail.
lab_grep() {
	grep "$@" > /dev/null
}

# lab_until SECONDS COMMAND…: again and again until it succeeds.
lab_until() {
	local end=$(($(date +%s) + $1))
	shift
	until "$@"; do
		[ "$(date +%s)" -lt "$end" ] || return 1
		sleep 0.1
	done
}

lab_wait() {
	local what=$1 i
	shift
	for i in $(seq 300); do # patient: builds may run beside
		"$@" > /dev/null 2>&1 && return 0
		sleep 0.1
	done
	echo "waited 30 s in vain for $what" >&2
	return 1
}

# appliance.cfg for a gateway: a port per wire, on af_packet, ordinary pages.
lab_appliance() {
	local gw=$1 pipeline=$2 port comma=
	echo "ports = {"
	for port in ${LAB_PORTS[$gw]}; do
		case $port in
		host) echo "	$comma host = { device = \"host\"; }" ;;
		*) echo "	$comma $port = { device = \"net_af_packet-$port,iface=$port,blocksz=65536,framecnt=2048\"; }" ;;
		esac
		comma=';'
	done
	cat <<-CFG
		; };
		workers = { lcores = [${LAB_LCORES:-1}]; };
		memory = { hugepages = false; mb = 128; packets = 16384; };
		limits = { peers = ${LAB_PEERS:-10000}; };
		plugins = { directories = [$LAB_PLUGINS]; };
		sockets = { run = "$LAB_DIR/$gw.run"; uapi = "/run/wireguard"; group = "root"; };
		state = "$LAB_DIR/$gw.state";
		pipeline = "$pipeline";
	CFG
}

# The plugins of the build tree, as a libconfig list.
lab_plugin_dirs() {
	find "$LAB_BUILD/plugins" -name '*.so' -printf '"%h"\n' | sort -u | paste -sd, -
}

lab_daemon() {
	local gw=$1 pipeline=$2
	LAB_PLUGINS=${LAB_PLUGINS:-$(lab_plugin_dirs)}
	mkdir -p "$LAB_DIR/$gw.run" "$LAB_DIR/$gw.state"
	[ -s "$LAB_DIR/$gw.cfg" ] || lab_appliance "$gw" "$pipeline" > "$LAB_DIR/$gw.cfg"
	lab_start "$gw" "$gw" "$LAB_BUILD/core/daemon/tailraced" -c "$LAB_DIR/$gw.cfg"
	local pid=$LAB_PID i
	for i in $(seq 600); do # as long as it lives: a busy machine takes its time
		lab_runs "$gw" "$pid" && return
		kill -0 "$pid" 2>/dev/null || break
		sleep 0.1
	done
	echo "tailraced in $gw does not run" >&2
	return 1
}

lab_runs() {
	kill -0 "$2" 2>/dev/null && grep -q ': running /' "$LAB_DIR/$1.log"
}

lab_tailrace() {
	local gw=$1
	shift
	lab "$gw" "$LAB_BUILD/core/cli/tailrace" --socket "$LAB_DIR/$gw.run/tailrace.sock" "$@"
}

# A stock WireGuard device in a namespace (wireguard-go or boringtun): lab_wireguard NS IF BINARY ADDRESS[,ADDRESS…]; configure it with `wg`.
lab_wireguard() {
	local ns=$1 if=$2 binary=$3 addresses=$4 a
	lab_start "$ns-$if" "$ns" env WG_PROCESS_FOREGROUND=1 LOG_LEVEL="${LAB_WG_LOG:-error}" WG_SUDO=true "$binary" -f "$if"
	lab_wait "$if" test -S "/run/wireguard/$if.sock"
	for a in ${addresses//,/ }; do
		case $a in
		*:*) ip -n "$LAB_ID-$ns" addr add "$a" dev "$if" nodad ;;
		*) ip -n "$LAB_ID-$ns" addr add "$a" dev "$if" ;;
		esac
	done
	ip -n "$LAB_ID-$ns" link set "$if" mtu 1420 up
}
