# SPDX-License-Identifier: BSD-3-Clause
# What the WireGuard tests share: a gateway between `client` (wireguard-go) and `lan`, IPv4 and IPv6 outside and inside.
# Source it after lab/lib.sh and lab_begin.
#
#   client  198.51.100.10  2001:db8:1::10   tunnel 100.64.0.2  fd64::2
#   gw      198.51.100.7   2001:db8:1::7    tunnel 100.64.0.1  fd64::1   LAN 10.20.0.1  fd20::1
#   lan     10.20.0.10     fd20::10

: "${WIREGUARD_GO:=wireguard-go}"
: "${WG_IF:=wgt$$}" # the gateway's instance: names of sockets are shared by all namespaces of a test

wg_keys() {
	umask 077
	for name; do
		wg genkey > "$LAB_DIR/$name.key"
		wg pubkey < "$LAB_DIR/$name.key" > "$LAB_DIR/$name.pub"
	done
	wg genpsk > "$LAB_DIR/psk"
	umask 022
}

# wg_gateway [more of the client's YAML]: writes the pipeline and starts the gateway.
wg_gateway() {
	cat > "$LAB_DIR/gw.yaml" <<-YAML
		instances:
		  wan: {class: interface, address: [198.51.100.7/24, "2001:db8:1::7/64"]}
		  lan: {class: interface, address: [10.20.0.1/16, "fd20::1/64"]}
		  mux: {class: mux}
		  $WG_IF: {class: wireguard, listen: 51820, private_key: "file:$LAB_DIR/gw.key"}
		  path: {class: path}
		  router:
		    class: route
		    address: [100.64.0.1, "fd64::1"]
		    routes: {100.64.0.0/10: $WG_IF.plain, "fd64::/64": $WG_IF.plain, 10.20.0.0/16: lan.ip, "fd20::/64": lan.ip}
		links:
		  - wan.udp -> mux.in
		  - wan.ip -> drop
		  - mux.wireguard -> $WG_IF.cipher
		  - $WG_IF.cipher -> path.in
		  - path.udp -> wan.ip
		  - $WG_IF.plain -> router.in
		  - lan.ip -> router.in
		  - lan.udp -> drop
		netmap:
		  peers:
		    client:
		      public_key: $(cat "$LAB_DIR/client.pub")
		      allowed_ips: [100.64.0.2/32, "fd64::2/128"]
	YAML
	[ -z "${1:-}" ] || printf '      %s\n' "$@" >> "$LAB_DIR/gw.yaml"
	lab_daemon gw "$LAB_DIR/gw.yaml"
}

wg_lab() {
	lab_ns client gw lan
	lab_wire client eth0 198.51.100.10/24,2001:db8:1::10/64 gw wan
	lab_wire lan eth0 10.20.0.10/16,fd20::10/64 gw lan
	ip -n "$LAB_ID-lan" route add default via 10.20.0.1
	ip -n "$LAB_ID-lan" route add default via fd20::1
	wg_keys gw client
}

# wg_client ENDPOINT-ADDRESS: the stock peer; its own `wg` name is wgc$$.
wg_client() {
	WG_CLIENT=wgc$$
	lab_wireguard client "$WG_CLIENT" "$WIREGUARD_GO" 100.64.0.2/32,fd64::2/128
	lab client wg set "$WG_CLIENT" listen-port 51821 private-key "$LAB_DIR/client.key" peer "$(cat "$LAB_DIR/gw.pub")" \
		endpoint "$1" allowed-ips 100.64.0.0/10,fd64::/64,10.20.0.0/16,fd20::/64
	ip -n "$LAB_ID-client" route add 100.64.0.0/10 dev "$WG_CLIENT"
	ip -n "$LAB_ID-client" route add 10.20.0.0/16 dev "$WG_CLIENT"
	ip -n "$LAB_ID-client" route add fd64::/64 dev "$WG_CLIENT"
	ip -n "$LAB_ID-client" route add fd20::/64 dev "$WG_CLIENT"
}

# check TEXT COMMAND…: says how it went; the first failure ends the test.
check() {
	local text=$1
	shift
	if "$@" > "$LAB_DIR/check.log" 2>&1; then
		echo "ok    $text"
		return 0
	fi
	echo "FAIL  $text"
	{ cat "$LAB_DIR/check.log"; lab_tailrace gw drops; lab_tailrace gw peers; client_wg show; } >&2
	exit 1
}

pings() { # NS ADDRESS
	lab_until 30 lab "$1" ping -n -c 3 -i 0.2 -W 2 "$2"
}

no_ping() {
	! lab "$1" ping -n -c 1 -W 1 "$2"
}

client_wg() {
	lab client wg "$@"
}

# The gateway's interface, through its own socket.
gateway_wg() {
	lab gw wg "$@"
}
