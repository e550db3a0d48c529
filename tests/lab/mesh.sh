# SPDX-License-Identifier: BSD-3-Clause
# Two gateways, `a` and `b`, of a topology, with a relay and STUN on its server: what finds its way between them, and when.
# Source it after lib.sh, nat.sh and lab_begin, then:
#
#   mesh_network FILE              # the topology, coturn, and the relay (TCP port 443) on the server
#   mesh_gateways [A] [B]          # both gateways; their options for punch
#   mesh_stock FILE SECONDS        # instead: `a` is a gateway, `b` Tailscale's own node, which begins; mesh_stocks: both are
#   mesh_ping SECONDS              # ten a second, from a LAN behind `a` to `b`
#   mesh_result                    # RESULT LOST FIRST-MS DIRECT-MS
#
# A gateway's kernel has a place of its own on the gateway's wire, from which it reaches the relay: through the same NATs.
# MESH_INSTANCES[HOST] and MESH_LINKS[HOST] are added to a gateway's pipeline; MESH_ADDRESSES[HOST] to the other's netmap.
# mesh_third, before mesh_gateways: the third gateway (`r`, of mesh_three) relays for both.
declare -gA MESH_INSTANCES=() MESH_LINKS=() MESH_KERNEL=() MESH_PEERS=() MESH_NODE=() MESH_DISCO=()

mesh_public() { # FILE: the public key of a secret, also of a disco key
	wg pubkey < "$1"
}

# The kernel's place beside a gateway's: the last part of its address is 100 more.
mesh_kernel() {
	local host=$1 ns=${LAB_BEHIND[$1]} family address
	ip -n "$LAB_ID-$host" link add mgmt type veth peer name "mgmt-$host" netns "$LAB_ID-$ns"
	ip -n "$LAB_ID-$ns" link set "mgmt-$host" master "$([ "$ns" = net ] && echo br0 || echo lan0)" up
	lab "$host" ethtool -K mgmt tx off > /dev/null
	lab "$ns" ethtool -K "mgmt-$host" tx off > /dev/null
	ip -n "$LAB_ID-$host" link set mgmt up
	for family in 4 6; do
		local -n of="LAB_ADDRESS$family" via="LAB_GATEWAY$family"
		[ -n "${of[$host]:-}" ] || continue
		address=$(/usr/bin/python3 -c 'import ipaddress, sys; a = ipaddress.ip_interface(sys.argv[1]); print(a.ip + 100)' "${of[$host]}")
		MESH_KERNEL[$host]=$address
		ip -n "$LAB_ID-$host" addr add "$address/${of[$host]#*/}" dev mgmt $([ $family = 4 ] || echo nodad)
		ip -n "$LAB_ID-$host" "-$family" route add default via "${via[$host]}"
	done
}

mesh_relay() {
	lab server sysctl -qw net.ipv4.ip_unprivileged_port_start=443
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=relay.test \
		-addext subjectAltName=DNS:relay.test -keyout "$LAB_DIR/relay.pem.key" -out "$LAB_DIR/relay.pem" 2> /dev/null
	MESH_PIN=sha256-raw:$(openssl x509 -in "$LAB_DIR/relay.pem" -outform der | sha256sum | cut -d' ' -f1)
	cat > "$LAB_DIR/server.yaml" <<-YAML
		instances:
		  relay: {class: derp-relay, listen: ["203.0.113.1:443", "[2001:db8::1]:443"], hostname: relay.test, private_key: "file:$LAB_DIR/relay.key",
		          clients: any, certificate: $LAB_DIR/relay.pem, certificate_key: $LAB_DIR/relay.pem.key}
	YAML
	cat > "$LAB_DIR/server.cfg" <<-CFG
		memory = { hugepages = false; mb = 64; packets = 1024; };
		plugins = { directories = [$(lab_plugin_dirs)]; };
		limits = { peers = 100; };
		sockets = { run = "$LAB_DIR/server.run"; uapi = "/run/wireguard"; group = "root"; };
		state = "$LAB_DIR/server.state";
		pipeline = "$LAB_DIR/server.yaml";
	CFG
	lab_daemon server "$LAB_DIR/server.yaml"
}

mesh_network() { # FILE
	local key host
	lab_topology "$1"
	for host in a b r; do [[ ${LAB_PORTS[$host]:-} != *wan* ]] || mesh_kernel "$host"; done
	for key in a b r relay a.disco b.disco r.disco; do (umask 077; wg genkey > "$LAB_DIR/$key.key"); done
	lab_stun_server
	mesh_relay
}

# mesh_gateway ME OTHER OTHER-KEY OTHER-DISCO-KEY [PUNCH-OPTIONS]: 100.64.0.1 is `a`, .2 the other; a LAN behind `a`
mesh_gateway() {
	local me=$1 lan= lan_route= allowed=100.64.0.${MESH_B:-2}/32 self=100.64.0.1 stun= relay=
	if [ "$me" = a ]; then
		lab_ns lan
		lab_wire lan eth0 10.20.0.10/24 a lan
		ip -n "$LAB_ID-lan" route add default via 10.20.0.1
		lan="lan: {class: interface, address: 10.20.0.1/24}" lan_route=", 10.20.0.0/24: lan.ip"
	else
		self=100.64.0.2 allowed="100.64.0.1/32, 10.20.0.0/24" lan_route=", 10.20.0.0/24: wg$me.plain"
	fi
	if [ -n "${LAB_ADDRESS4[$me]:-}" ]; then stun+=", 203.0.113.1, 203.0.113.2" relay=203.0.113.1; fi
	if [ -n "${LAB_ADDRESS6[$me]:-}" ]; then stun+=', "[2001:db8::1]:3478", "[2001:db8::2]:3478"' relay=${relay:-2001:db8::1}; fi
	{
		cat <<-YAML
			instances:
			  wan:    {class: interface, $(lab_interface "$me")}
			  ${lan:-# no LAN}
			  mux:    {class: mux}
			  path:   {class: path}
			  wg$me:    {class: wireguard, listen: 41641, private_key: "file:$LAB_DIR/$me.key"}
			  derp:   {class: derp, home: 1, private_key: "file:$LAB_DIR/$me.key"}
			  stun:   {class: stun-client, listen: 41641, servers: [${stun#, }]}
			  punch:  {class: punch, listen: 41641, peers: wg$me, node_key: "$(mesh_public "$LAB_DIR/$me.key")", private_key: "file:$LAB_DIR/$me.disco.key"${5:-}}
			  router: {class: route, address: $self, routes: {100.64.0.0/10: wg$me.plain$lan_route}}
			${MESH_INSTANCES[$me]:-}
			links:
			  - wan.udp        -> mux.in
			  - wan.ip         -> drop
			  - mux.wireguard  -> wg$me.cipher
			  - mux.stun       -> stun.in
			  - mux.punch      -> punch.in
			  - mux.geneve     -> punch.geneve
			  - punch.wireguard -> wg$me.relay
			  - path.relay     -> punch.wrap
			  - derp.wireguard -> wg$me.relay
			  - derp.disco     -> punch.relay
			  - wg$me.cipher     -> path.in
			  - stun.out       -> path.in
			  - punch.out      -> path.in
			  - path.udp       -> wan.ip
			  - path.derp      -> derp.in
			  - wg$me.plain       -> router.in
			  - router.udp     -> drop
			${MESH_LINKS[$me]:-}
		YAML
		[ -z "$lan" ] || printf '  - lan.ip -> router.in\n  - lan.udp -> drop\n'
		cat <<-YAML
			netmap:
			  derp:
			    lab: {region: 1, host: relay.test, address: "$relay", port: 443, certificate: "$MESH_PIN"}
			  peers:
			    $2: {public_key: "$3", disco_key: "$4", derp: 1, allowed_ips: [$allowed]}
			    ${MESH_PEERS[$me]:-}
		YAML
	} > "$LAB_DIR/$me.yaml"
	lab_daemon "$me" "$LAB_DIR/$me.yaml"
}

mesh_counter() { # GATEWAY INSTANCE NAME
	lab_tailrace "$1" stats --json | jq ".instances.$2.counters.$3"
}

# Its relay is there, and STUN has told what there is to tell. MESH_BLIND: hosts that no server answers.
mesh_ready() {
	lab_tailrace "$1" show derp --json | jq -e '.state.connected == 1' || return 1
	case " ${MESH_BLIND:-} " in *" $1 "*) return 0 ;; esac
	lab_tailrace "$1" show stun --json | jq -e '.state.mapping != "unknown" or .state.ipv6' > /dev/null
}

mesh_gateways() { # [PUNCH-OPTIONS-A] [PUNCH-OPTIONS-B]
	mesh_gateway a b "$(mesh_public "$LAB_DIR/b.key")" "$(mesh_public "$LAB_DIR/b.disco.key")" "${1:-}"
	mesh_gateway b a "$(mesh_public "$LAB_DIR/a.key")" "$(mesh_public "$LAB_DIR/a.disco.key")" "${2:-}"
	lab_wait "a's relay and addresses" mesh_ready a
	lab_wait "b's relay and addresses" mesh_ready b
}

# A peer of a netmap, without allowed IPs. MESH_NODE[HOST] and MESH_DISCO[HOST]: its public keys, where they are not ours.
mesh_peer() { # HOST [MORE]
	echo "$1: {public_key: \"${MESH_NODE[$1]:-$(mesh_public "$LAB_DIR/$1.key")}\"," \
		"disco_key: \"${MESH_DISCO[$1]:-$(mesh_public "$LAB_DIR/$1.disco.key")}\", derp: 1${2:-}}"
}

# `r` may relay for both, and `a` or whoever $1 says may ask it.
mesh_third() {
	local host
	for host in a b; do MESH_PEERS[$host]=$(mesh_peer r ", relay: true"); done
	cat > "$LAB_DIR/r.yaml" <<-YAML
		instances:
		  wan:    {class: interface, $(lab_interface r)}
		  mux:    {class: mux}
		  path:   {class: path}
		  wgr:    {class: wireguard, listen: 41641, private_key: "file:$LAB_DIR/r.key"}
		  derp:   {class: derp, home: 1, private_key: "file:$LAB_DIR/r.key"}
		  punch:  {class: punch, listen: 41641, peers: wgr, node_key: "$(mesh_public "$LAB_DIR/r.key")", private_key: "file:$LAB_DIR/r.disco.key"}
		  relay:  {class: udp-relay, listen: 40000, peers: wgr, addresses: ["${LAB_ADDRESS4[r]%/*}:40000"]}
		  router: {class: route, address: 100.64.0.3, routes: {100.64.0.0/10: wgr.plain}}
		links:
		  - wan.udp        -> mux.in
		  - wan.ip         -> drop
		  - mux.wireguard  -> wgr.cipher
		  - mux.punch      -> punch.in
		  - mux.relay      -> relay.in
		  - relay.out      -> path.in
		  - punch.requests -> relay.requests
		  - relay.answers  -> punch.answers
		  - derp.wireguard -> wgr.relay
		  - derp.disco     -> punch.relay
		  - wgr.cipher     -> path.in
		  - punch.out      -> path.in
		  - path.udp       -> wan.ip
		  - path.derp      -> derp.in
		  - wgr.plain      -> router.in
		  - router.udp     -> drop
		netmap:
		  derp:
		    lab: {region: 1, host: relay.test, address: 203.0.113.1, port: 443, certificate: "$MESH_PIN"}
		  peers:
		    $(mesh_peer a "$([ "${1:-a}" != a ] || echo ", relay_client: true")")
		    $(mesh_peer b "$([ "${1:-a}" != b ] || echo ", relay_client: true")")
	YAML
	lab_daemon r "$LAB_DIR/r.yaml"
	MESH_R=$LAB_PID
	third_ready() { lab_tailrace r show derp --json | jq -e '.state.connected == 1'; }
	lab_wait "the third gateway's DERP relay" third_ready
}

# direct, derp or relay: what a gateway uses to reach its peer
mesh_used() { # [GATEWAY]
	local other=b
	[ "${1:-a}" = a ] || other=a
	lab_tailrace "${1:-a}" peers --json | jq -r --arg other $other '[.peers[] | select(.name == $other) | .path][0] // "-"'
}

mesh_now() { date +%s%3N; }

# ms from $1 on until a path of `a` to its peer is direct and trusted, polled; `-`: not within $2 seconds
mesh_direct_after() { # START SECONDS
	while [ $(($(mesh_now) - $1)) -lt $(($2 * 1000)) ]; do
		[ "$(mesh_counter a punch found)" = 0 ] || { echo $(($(mesh_now) - $1)); return; }
		if [ $(($(mesh_now) - $1)) -lt 1500 ]; then sleep 0.03; else sleep 0.3; fi # asking costs more than what is measured
	done
	echo -
}

# direct or relay: what carries packets now. A path that a machine which stood still had doubted for a moment is looked at again.
mesh_carries() {
	local before
	for _ in 1 2 3; do
		before=$(mesh_counter a derp packets_out)
		sleep 1.2
		[ $(($(mesh_counter a derp packets_out) - before)) -gt 3 ] || { echo direct; return; }
		[ "$(mesh_used)" != derp ] || break
	done
	echo relay
}

mesh_ping() { # SECONDS: in the background; MESH_START is the time of the first
	lab_start ping lan "$LAB_ROOT/tests/lab/echoes" 100.64.0.2 $(($1 * 10)) 0.1
	MESH_PING=$LAB_PID
	until grep -q '^began at ' "$LAB_DIR/ping.log"; do
		kill -0 "$MESH_PING" 2> /dev/null || return 1
		sleep 0.01
	done
	MESH_START=$(sed -n 's/^began at //p' "$LAB_DIR/ping.log")
}

mesh_enough() { kill -INT "$MESH_PING" 2> /dev/null || true; } # no more of them; who waits for their end gets those on the way

mesh_lost() { sed -n 's/.* sent, \([0-9]*\) lost.*/\1/p' "$LAB_DIR/ping.log"; }

# mesh_result RESULT DIRECT-MS: waits for the pings' end (so not in a subshell), and prints RESULT LOST FIRST-MS DIRECT-MS
mesh_result() {
	local lost first
	wait "$MESH_PING" || true
	lost=$(mesh_lost)
	first=$(sed -n 's/.*first after \([0-9]*\) ms.*/\1/p' "$LAB_DIR/ping.log")
	echo "$1 ${lost:-all} ${first:-0} $2"
}

# mesh_cell FILE SECONDS [PUNCH-OPTIONS-A] [PUNCH-OPTIONS-B]
mesh_cell() {
	local direct result
	mesh_network "$1"
	mesh_gateways "${3:-}" "${4:-}"
	mesh_ping $(($2 + 30))
	direct=$(mesh_direct_after "$MESH_START" "$2")
	sleep 1
	result=$(mesh_carries)
	mesh_enough
	mesh_result "$result" "$direct"
}

# mesh_pair TYPE TYPE [B-IS-GATEWAY] [A-IS-GATEWAY]: a topology of two NATs
mesh_pair() {
	cat > "$LAB_DIR/pair.yaml" <<-YAML
		nats: {left: {type: $1}, right: {type: $2}}
		hosts: {a: {behind: left, port: ${4:-true}}, b: {behind: right, port: ${3:-true}}}
	YAML
	echo "$LAB_DIR/pair.yaml"
}

# mesh_three TYPE TYPE [B-IS-GATEWAY] [R-IS-GATEWAY]: the same with a third host, on the internet
mesh_three() {
	cat > "$LAB_DIR/three.yaml" <<-YAML
		nats: {left: {type: $1}, right: {type: $2}}
		hosts: {a: {behind: left, port: true}, b: {behind: right, port: ${3:-true}}, r: {port: ${4:-true}}}
	YAML
	echo "$LAB_DIR/three.yaml"
}

# mesh_stock FILE SECONDS [PUNCH-OPTIONS]: Tailscale's path engine in place of `b` begins; the same four words
mesh_stock() {
	local stock result MESH_B=9 # its address in the tunnel
	mesh_network "$1"
	mkdir "$LAB_DIR/stock"
	lab_start stock b "$STOCKPEER" -dir "$LAB_DIR/stock" -node "$(mesh_public "$LAB_DIR/a.key")" -disco "$(mesh_public "$LAB_DIR/a.disco.key")" \
		-derp 203.0.113.1:443 -host relay.test -endpoint "${LAB_ADDRESS4[a]%/*}:41641" -seconds "$(($2 + 4))"
	stock=$LAB_PID
	lab_wait "the stock peer" test -s "$LAB_DIR/stock/self.json"
	self() { jq -r ".$1" "$LAB_DIR/stock/self.json"; }
	mesh_gateway a b "$(self node)" "$(self disco)" "${3:-}"
	lab_wait "a's relay and addresses" mesh_ready a
	lab_wait "the stock peer's home" eval '[ "$(self home)" = 1 ]'
	: > "$LAB_DIR/stock/go"
	sleep "$2"
	result=$(mesh_carries)
	wait "$stock" || true
	mesh_stock_words "$result"
}

# mesh_stock_words RESULT: of stock.log
mesh_stock_words() {
	grep '^{' "$LAB_DIR/stock.log" | jq -s -r --arg result "$1" 'sort_by(.at) | [$result, (map(select(.ok | not)) | length),
		((.[0].rtt // 0) * 1000 | floor), ((map(select(.direct != "") | .at + .rtt) | min // -1) * 1000 | floor)] | join(" ")'
}

# mesh_stocks FILE SECONDS: two of Tailscale's nodes, of which `a` begins; the same four words
mesh_stocks() {
	local host other stock
	mesh_network "$1"
	mkdir "$LAB_DIR/a" "$LAB_DIR/b"
	for host in b a; do
		other=$([ $host = a ] && echo b || echo a)
		lab_start "$([ $host = a ] && echo stock || echo other)" $host "$STOCKPEER" -dir "$LAB_DIR/$host" -peer "$LAB_DIR/$other" \
			-second="$([ $host = b ] && echo true || echo false)" -derp 203.0.113.1:443 -host relay.test \
			-seconds "$2"
	done
	stock=$LAB_PID
	homes() { [ "$(jq -r '"\(.home) \(.endpoints | length > 1)"' "$LAB_DIR/a/self.json" "$LAB_DIR/b/self.json" | uniq)" = "1 true" ]; }
	lab_wait "their homes and addresses" homes
	sleep 2 # for the other to be told
	: > "$LAB_DIR/a/go"
	wait "$stock" || true
	mesh_stock_words "$(tail -n 1 "$LAB_DIR/stock.log" | jq -r 'if .direct == "" then "relay" else "direct" end')"
}
