# SPDX-License-Identifier: BSD-3-Clause
# Stock peers of several makes around one gateway, on one Ethernet, and a host behind it. Source it after lab/lib.sh.
#
#   gw      198.51.100.7   2001:db8:1::7    tunnel 100.64.0.1  fd64::1   LAN 10.20.0.1  fd20::1
#   peer N  198.51.100.N   2001:db8:1::N    tunnel 100.64.0.N  fd64::N   one namespace and one device, both named alike
#   lan     10.20.0.10     fd20::10
#
#   hub_begin; hub_peer d1 11 debian …; hub_yaml > $LAB_DIR/gw.yaml; lab_daemon gw $LAB_DIR/gw.yaml; hub_join d1 v4

HUB_V4=198.51.100.7:51820
HUB_V6='[2001:db8:1::7]:51820'
HUB_INSIDE=100.64.0.0/10,fd64::/64,10.20.0.0/16,fd20::/64
declare -A HUB_N=() HUB_KEY=() HUB_MORE=() HUB_BINARY=()

# hub_binary KIND: sets HUB_BINARY[KIND], or fails and says why.
hub_binary() {
	local why="$LAB_DIR/why"
	case $1 in
	debian) HUB_BINARY[$1]=$(command -v wireguard-go) ;;
	newest) HUB_BINARY[$1]=$("$LAB_ROOT/tests/interop/peers/build" wireguard-go 2> "$why") ;;
	boringtun) HUB_BINARY[$1]=$("$LAB_ROOT/tests/interop/peers/build" boringtun 2> "$why") ;;
	esac || { echo "SKIP  $1: $(tail -1 "$why")"; return 1; }
}

hub_keys() {
	(umask 077 && wg genkey > "$LAB_DIR/$1.key")
	wg pubkey < "$LAB_DIR/$1.key" > "$LAB_DIR/$1.pub"
	HUB_KEY[$1]=$(cat "$LAB_DIR/$1.pub")
}

hub_begin() {
	lab_switch net
	lab_ns gw lan
	lab_trunk net gw gw wan
	lab_wire lan eth0 10.20.0.10/16,fd20::10/64 gw lan
	ip -n "$LAB_ID-lan" route add default via 10.20.0.1
	ip -n "$LAB_ID-lan" route add default via fd20::1
	hub_keys gw
	(umask 077 && wg genpsk > "$LAB_DIR/psk")
}

# hub_peer NAME N KIND [line of YAML for the gateway]…: a device that knows nothing yet but its key.
hub_peer() {
	local name=$1 n=$2 kind=$3 p
	shift 3
	lab_ns "$name"
	if [ -n "${HUB_VIA:-}" ]; then
		lab_wire "$name" eth0 "198.51.100.$n/24,2001:db8:1::$n/64" "$HUB_VIA" "$name"
	else
		lab_plug "$name" eth0 "198.51.100.$n/24,2001:db8:1::$n/64" net "$name"
	fi
	lab_wireguard "$name" "$name" "${HUB_BINARY[$kind]}" "100.64.0.$n/32,fd64::$n/128"
	for p in ${HUB_INSIDE//,/ }; do ip -n "$LAB_ID-$name" route add "$p" dev "$name"; done
	hub_keys "$name"
	HUB_N[$name]=$n
	HUB_MORE[$name]=$(printf '      %s\n' "$@")
	lab "$name" wg set "$name" listen-port 51821 private-key "$LAB_DIR/$name.key"
}

hub_yaml() {
	local name
	cat <<-YAML
		instances:
		  wan: {class: interface, address: [198.51.100.7/24, "2001:db8:1::7/64"]}
		  lan: {class: interface, address: [10.20.0.1/16, "fd20::1/64"]}
		  mux: {class: mux}
		  wg0: {class: wireguard, listen: 51820, private_key: "file:$LAB_DIR/gw.key"}
		  path: {class: path}
		  router:
		    class: route
		    address: [100.64.0.1, "fd64::1"]
		    routes: {100.64.0.0/10: wg0.plain, "fd64::/64": wg0.plain, 10.20.0.0/16: lan.ip, "fd20::/64": lan.ip}
		links:
		  - wan.udp -> mux.in
		  - wan.ip -> drop
		  - mux.wireguard -> wg0.cipher
		  - wg0.cipher -> path.in
		  - path.udp -> wan.ip
		  - wg0.plain -> router.in
		  - lan.ip -> router.in
		  - lan.udp -> drop
		netmap:
		  peers:
	YAML
	for name in "${!HUB_N[@]}"; do
		cat <<-YAML
			    $name:
			      public_key: ${HUB_KEY[$name]}
			      allowed_ips: [100.64.0.${HUB_N[$name]}/32, "fd64::${HUB_N[$name]}/128"]
		YAML
		[ -z "${HUB_MORE[$name]// /}" ] || echo "${HUB_MORE[$name]}"
	done
}

# hub_join NAME v4|v6|none [more arguments of wg set … peer]: the peer's side, from nothing.
hub_join() {
	local name=$1 endpoint=()
	case $2 in
	v4) endpoint=(endpoint "$HUB_V4") ;;
	v6) endpoint=(endpoint "$HUB_V6") ;;
	esac
	shift 2
	lab "$name" wg set "$name" peer "${HUB_KEY[gw]}" remove
	lab "$name" wg set "$name" peer "${HUB_KEY[gw]}" allowed-ips "$HUB_INSIDE" "${endpoint[@]}" "$@"
}

# pings NS ADDRESS [SECONDS]: answered within so many seconds? A side that does not know that the other has begun anew takes 15 s to
# give its session up, and 5 s for each try to make another.
pings() {
	lab_until "${3:-60}" lab "$1" ping -n -q -c 1 -W 1 "$2"
}

# What `wg` says of one peer: hub_gw WHAT NAME at the gateway, hub_at WHAT NAME at the peer.
hub_gw() { lab gw wg show wg0 "$1" | awk -F '\t' -v k="${HUB_KEY[$2]}" '$1 == k { print $2, $3 }'; }
hub_at() { lab "$2" wg show "$2" "$1" | awk -F '\t' '{ print $2, $3 }'; }

# One number of the gateway: hub_drops REASON, hub_counter NAME (of wg0).
hub_drops() {
	lab_tailrace gw --json drops | jq "[.drops[] | select(.reason == \"$1\").packets] | add // 0"
}
hub_counter() {
	lab_tailrace gw --json stats | jq ".instances.wg0.counters.$1"
}

# hub_saved N: what the gateway keeps for the next one has the sessions of N peers. Its suite touches $LAB_DIR/started before each start.
hub_saved() {
	python3 - "$LAB_DIR/gw.state/paths.bin" "$LAB_DIR/started" "$1" <<-'PY'
		import os, struct, sys
		file, started, n = sys.argv[1:]
		if not os.path.exists(file) or os.stat(file).st_mtime_ns < os.stat(started).st_mtime_ns:
		    sys.exit(1)
		slots = open(file, "rb").read()  # of 128 bytes; the first is the head. An interface's name, ... , the session at 104
		have = sum(slots[i] != 0 and struct.unpack_from("=Q", slots, i + 104)[0] != 0 for i in range(128, len(slots) - 127, 128))
		sys.exit(have < int(n))
	PY
}
