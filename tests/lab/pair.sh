# SPDX-License-Identifier: BSD-3-Clause
# A gateway and a test peer (pktgen) in two namespaces, joined by a memif and a veth: 8 sessions over each, whose packets
# go from each to the next through the gateway. Source it after lib.sh and lab_begin, then:
#
#   pair_start RATE      # packets per second over memif, a quarter over veth
#   begin; …; end NAME   # a measurement; the reports are $LAB_DIR/NAME.fast.json (memif) and NAME.slow.json (veth)
#
# The gateway's worker has a CPU of its own; all the rest shares the other. Both workers come before everything else that
# runs on their CPUs, and leave it what they don't need: else the one that measures would be the limit.
GW_CPU=1 PEER_CPU=0
[ "$(nproc)" -ge 2 ] || { echo "needs two CPUs"; exit 77; }
taskset -cp $PEER_CPU $$ > /dev/null
renice -n -10 -p $$ > /dev/null || true # of what is no worker, ours comes first

# A path needs no namespace, and entering one costs more than the command.
gw() { "$LAB_BUILD/core/cli/tailrace" --socket "$LAB_DIR/gw.run/tailrace.sock" "$@"; }
peer() { "$LAB_BUILD/core/cli/tailrace" --socket "$LAB_DIR/peer.run/tailrace.sock" "$@"; }

# What the gateway threw away for a reason of its own. (A full ring, before or behind it, is a machine that stood still.)
dropped() {
	gw drops --json | jq '[.drops[] | select(.reason | IN("keepalive", "consumed", "taken_in", "tx_full") | not).packets] | add // 0'
}

pair_appliance() { # NAME CPU ROLE
	cat > "$LAB_DIR/$1.cfg" <<-CFG
		ports = {
			mem = { device = "net_memif0,role=$3,id=0,socket=$LAB_DIR/memif,socket-abstract=no,rsize=13"; };
			veth0 = { device = "net_af_packet0,iface=veth0,blocksz=65536,framesz=2048,framecnt=1536"; };
		};
		workers = { lcores = [$2]; poll = "adaptive"; };
		memory = { hugepages = false; mb = 256; packets = 32768; };
		limits = { peers = 10000; };
		plugins = { directories = ["$PLUGINS"]; };
		sockets = { run = "$LAB_DIR/$1.run"; uapi = "/run/wireguard"; group = "root"; };
		state = "$LAB_DIR/$1.state";
		pipeline = "$LAB_DIR/$1.yaml";
	CFG
}

# pipeline EXTRA-PEERS EXTRA-ROUTE STAGE(yes or empty)
pipeline() {
	local n route= out=router.in
	[ -z "$2" ] || route=", 10.77.$2.0/24: mem.ip"
	[ -z "$3" ] || out=stage.in
	echo "instances:
  mem: {class: interface, address: 10.1.0.1/16}
  veth0: {class: interface, address: 10.2.0.1/16}
  mux: {class: mux}
  stun: {class: stun, listen: 3478}
  wg0: {class: wireguard, listen: 51820, private_key: \"file:$LAB_DIR/gw.key\"}
  path: {class: path}
  router: {class: route, address: 10.99.0.1, routes: {10.1.0.0/16: mem.ip, 10.2.0.0/16: veth0.ip, 10.3.0.0/16: wg0.plain,
    10.4.0.0/16: wg0.plain$route}}"
	[ -z "$3" ] || echo "  stage: {class: pass}"
	echo "links:
  - mem.udp -> mux.in
  - veth0.udp -> mux.in
  - mem.ip -> router.in
  - veth0.ip -> router.in
  - mux.stun -> stun.in
  - stun.out -> router.in
  - mux.wireguard -> wg0.cipher
  - wg0.cipher -> path.in
  - path.udp -> router.in
  - wg0.plain -> $out"
	[ -z "$3" ] || echo "  - stage.out -> router.in"
	echo "netmap:
  peers:
$PEERS"
	for ((n = 0; n < $1; n++)); do
		echo "    extra$n: {public_key: \"${EXTRA_KEYS[n]}\", allowed_ips: [10.3.1.$n/32]}"
	done
}

first() { chrt -f -p 20 "$1" 2> /dev/null || renice -n -20 -p "$1" > /dev/null || true; }

sessions_up() { [ "$(peer show fast --json | jq .state.sessions_up)$(peer show slow --json | jq .state.sessions_up)" = 88 ]; }

pair_start() {
	local rate=$1 ns p g daemon thread
	lab_ns gw peer
	ip -n "$LAB_ID-peer" link add veth0 type veth peer name veth0 netns "$LAB_ID-gw"
	for ns in gw peer; do
		lab $ns ethtool -K veth0 tx off > /dev/null
		lab $ns sysctl -qw net.ipv6.conf.veth0.disable_ipv6=1 net.ipv4.conf.veth0.arp_ignore=8
		ip -n "$LAB_ID-$ns" link set veth0 up
		# DPDK's socket sees packets before this; the kernel's own stack is spared them.
		lab $ns nft 'add table netdev lab; add chain netdev lab in { type filter hook ingress device "veth0" priority 0; policy drop; }'
	done

	PLUGINS=$LAB_DIR/plugins
	mkdir "$PLUGINS"
	for p in transport/wireguard/wireguard nat/stun/stun features/pktgen/pktgen; do
		cp "$LAB_BUILD/plugins/$p.so" "$PLUGINS/"
	done
	cp "$LAB_BUILD/core/plugin/plugin_good.so" "$PLUGINS/pass.so"
	(umask 077; wg genkey > "$LAB_DIR/gw.key")

	pair_appliance gw $GW_CPU client
	pair_appliance peer $PEER_CPU server

	cat > "$LAB_DIR/peer.yaml" <<-YAML
		instances:
		  mem: {class: interface, address: 10.1.0.2/16}
		  veth0: {class: interface, address: 10.2.0.2/16}
		  fast: {class: pktgen, target: "10.1.0.1:51820", public_key: "$(wg pubkey < "$LAB_DIR/gw.key")", inside: 10.3.0.1,
		    sink: 10.9.0.1, sessions: 8, seed: 1, direction: through, rate: $rate, size: 128}
		  slow: {class: pktgen, target: "10.2.0.1:51820", public_key: "$(wg pubkey < "$LAB_DIR/gw.key")", inside: 10.4.0.1,
		    sink: 10.9.0.1, sessions: 8, seed: 2, direction: through, rate: $((rate / 4)), size: 128}
		  fast_path: {class: path}
		  slow_path: {class: path}
		links:
		  - mem.udp -> fast.cipher
		  - veth0.udp -> slow.cipher
		  - mem.ip -> drop
		  - veth0.ip -> drop
		  - fast.cipher -> fast_path.in
		  - slow.cipher -> slow_path.in
		  - fast_path.udp -> mem.ip
		  - slow_path.udp -> veth0.ip
	YAML
	lab_daemon peer "$LAB_DIR/peer.yaml"

	PEERS=
	for g in fast slow; do
		PEERS+=$(peer --json $g peers | jq -r --arg g $g '.peers | to_entries[] |
			"    \($g)\(.key): {public_key: \"\(.value.public_key)\", allowed_ips: [\(.value.address)/32]}"')$'\n'
	done

	EXTRA_KEYS=()
	for _ in {1..8}; do EXTRA_KEYS+=("$(wg genkey | wg pubkey)"); done
	pipeline 0 "" "" > "$LAB_DIR/gw.yaml"
	lab_daemon gw "$LAB_DIR/gw.yaml"

	for daemon in "${LAB_PIDS[@]}"; do
		for thread in /proc/"$daemon"/task/*; do
			case $(cat "$thread/comm") in tr-worker*) first "${thread##*/}" ;; esac
		done
	done

	lab_wait "16 sessions" sessions_up
}

begin() { peer fast start > /dev/null; peer slow start > /dev/null; }

# end NAME: stops the senders, lets what is under way arrive, keeps the reports.
end() {
	local g
	for g in fast slow; do peer $g stop > /dev/null; done
	sleep 0.5
	for g in fast slow; do peer --json $g report > "$LAB_DIR/$1.$g.json"; done
	gw status --json > "$LAB_DIR/$1.status.json"
	for g in fast slow; do
		jq -r --arg n "$1" --arg g $g '(.through // .up) as $all | "  \($n) \($g): \($all.sent) sent in \(.duration_ns / 1e9 * 10 | round / 10) s, " +
			"lost \($all.lost), duplicates \($all.duplicates), reordered \($all.reordered), " +
			"too old \($all.too_old), counters seen twice \(.counters_seen_twice), " +
			"longest gap \($all.longest_gap_watched_ns / 1e3 | round) us watched, " +
			"\($all.longest_gap_ns / 1e3 | round) us in all; sender late by \(.sender_late_max_ns / 1e3 | round) us, " +
			"p99 \($all.latency.p99_ns / 1e3 | round) us"' "$LAB_DIR/$1.$g.json"
	done
}
