# SPDX-License-Identifier: BSD-3-Clause
# Networks with NATs, described by files in tests/lab/topologies. Source it after lib.sh and lab_begin, then:
#
#   lab_topology NAME       # makes the namespaces net, server, and those of the file's NATs and hosts; NAME or a file
#   lab_gateways NAME HOST… # a file of the same topology in which these hosts are gateways (`port: true`)
#   lab_interface HOST      # a gateway's options of class interface: its place on the wire
#   lab_stun_server         # coturn on both addresses of the server, for RFC 5780
#   lab_classify NAME       # what an independent client finds of each host, beside what the file says; 1 if they differ
#   lab_new_address NAT A/N # the provider gives the NAT another address: all mappings are gone
#   lab_upnpd NAT NAME LINE…  # miniupnpd in it, outside on 11.0.0.10, with these lines of configuration; its log is NAME.log
#
# Sets LAB_ADDRESS4, LAB_ADDRESS6 (with prefix length), LAB_GATEWAY4, LAB_GATEWAY6 and LAB_BEHIND (a NAT, or `net`) by host or
# NAT.

lab_topology_file() { case $1 in */*) echo "$1" ;; *) echo "$LAB_ROOT/tests/lab/topologies/$1.yaml" ;; esac; }

lab_gateways() {
	/usr/bin/python3 -c '
import sys, yaml
tree = yaml.safe_load(open(sys.argv[1]))
for host in sys.argv[3:]:
    tree["hosts"][host]["port"] = True
yaml.safe_dump(tree, open(sys.argv[2], "w"), sort_keys=False)' "$(lab_topology_file "$1")" "$LAB_DIR/$1.yaml" "${@:2}"
	echo "$LAB_DIR/$1.yaml"
}

lab_interface() {
	local both="${LAB_ADDRESS4[$1]:+\"${LAB_ADDRESS4[$1]}\", }${LAB_ADDRESS6[$1]:+\"${LAB_ADDRESS6[$1]}\"}"
	local via="${LAB_GATEWAY4[$1]:+\"${LAB_GATEWAY4[$1]}\", }${LAB_GATEWAY6[$1]:+\"${LAB_GATEWAY6[$1]}\"}"
	echo "address: [${both%, }], gateway: [${via%, }]"
}

# Hosts that can be asked for something: those whose address is the kernel's.
lab_hosts() { "$LAB_ROOT/tests/lab/topology" classes "$(lab_topology_file "$1")" | cut -d' ' -f1; }

lab_topology() {
	local script
	script=$("$LAB_ROOT/tests/lab/topology" shell "$(lab_topology_file "$1")")
	eval "$script"
}

lab_stun_server() {
	lab_start coturn server turnserver -n -L 203.0.113.1 -L 203.0.113.2 -L 2001:db8::1 -L 2001:db8::2 --stun-only --no-tls \
		--no-dtls --no-cli --pidfile "$LAB_DIR/coturn.pid" --log-file stdout --simple-log
	lab_wait coturn lab_stun_answers
}

lab_stun_answers() { lab net timeout 5 turnutils_stunclient 203.0.113.1; }

# All flows are forgotten, as by a router that starts again: the kernel's connection tracking is flushed by netlink.
lab_forget_flows() {
	lab "$1" /usr/bin/python3 -c '
import socket, struct
s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)  # NETLINK_NETFILTER
s.bind((0, 0))
s.send(struct.pack("=IHHII4x", 20, 1 << 8 | 2, 5, 1, 0))   # ctnetlink, delete: all; request, acknowledge
raise SystemExit(struct.unpack("=i", s.recv(4096)[16:20])[0] != 0)'
}

lab_new_address() {
	local nat=$1 old=${LAB_ADDRESS4[$1]} rules
	lab "$nat" nft flush map ip nat open
	rules=$(lab "$nat" nft -s list ruleset | sed "s/\b${old%/*}\b/${2%/*}/g")
	ip -n "$LAB_ID-$nat" addr del "$old" dev wan
	ip -n "$LAB_ID-$nat" addr add "$2" dev wan
	ip -n "$LAB_ID-$nat" -4 route replace default via "${LAB_GATEWAY4[$nat]}"
	lab "$nat" nft flush ruleset
	lab "$nat" nft -f - <<< "$rules"
	LAB_ADDRESS4[$nat]=$2
	lab_forget_flows "$nat"
}

# miniupnpd serves behind a public address only, which the documentation ranges are not. Its tables come before the lab's own.
lab_upnpd() { # NAT NAME LINE…
	local nat=$1 name=$2 lan
	shift 2
	if [ "${LAB_ADDRESS4[$nat]}" != 11.0.0.10/24 ]; then
		lab net ip addr add 11.0.0.254/24 dev br0
		LAB_GATEWAY4[$nat]=11.0.0.254
		lab_new_address "$nat" 11.0.0.10/24
		lab "$nat" nft add rule inet gate input iifname lan0 accept
		lab "$nat" nft -f - <<-'NFT'
			table inet filter {
				chain forwardUPnP {}
				chain UPnP {}
				chain UPnP-Postrouting {}
				chain pre { type nat hook prerouting priority dstnat - 5; jump UPnP; }
				chain post { type nat hook postrouting priority srcnat - 5; jump UPnP-Postrouting; }
			}
		NFT
	fi
	lan=$(lab "$nat" ip -4 -o addr show dev lan0 | awk '{ print $4 }')
	cat > "$LAB_DIR/upnpd.conf" <<-CONF
		ext_ifname=wan
		listening_ip=lan0
		system_uptime=no
		lease_file=$LAB_DIR/leases
		upnp_table_name=filter
		upnp_nat_table_name=filter
		upnp_forward_chain=forwardUPnP
		upnp_nat_chain=UPnP
		upnp_nat_postrouting_chain=UPnP-Postrouting
		uuid=00000000-0000-0000-0000-000000000001
		$(printf '%s\n' "$@")
		allow 1024-65535 ${lan%.*}.0/24 1024-65535
	CONF
	lab_start "$name" "$nat" miniupnpd -d -f "$LAB_DIR/upnpd.conf" -P "$LAB_DIR/upnpd.pid"
}

# ---- What an RFC 5780 client finds ---------------------------------------------------------------------------------

# The client's words as RFC 4787's. It calls a host without NAT endpoint-independent: that is told by its address.
lab_behaviour() { # Mapping|Filtering OUTPUT
	case $2 in
	*"Endpoint Independent $1"*)
		local seen own
		seen=$(sed -n 's/.*reflexive addr: //p' <<< "$2" | head -1)
		own=$(sed -n 's/.*Local addr: : //p' <<< "$2" | head -1)
		if [ "$1" = Mapping ] && [ "$seen" = "$own" ]; then echo none; else echo endpoint-independent; fi
		;;
	*"Address and Port Dependent $1"*) echo address-and-port-dependent ;;
	*"Address Dependent $1"*) echo address-dependent ;;
	*) echo blocked ;;
	esac
}

# HOST MAPPING FILTERING, as found. Each from a socket of its own: the first test opens holes.
lab_found() {
	local host=$1 address=${LAB_ADDRESS4[$1]:-} mapping filtering
	[ -n "$address" ] || { echo "$host blocked blocked"; return; }
	lab "$host" timeout 20 turnutils_natdiscovery -m -L "${address%/*}" 203.0.113.1 > "$LAB_DIR/$host.m" 2>&1 < /dev/null &
	mapping=$!
	lab "$host" timeout 20 turnutils_natdiscovery -f -L "${address%/*}" 203.0.113.1 > "$LAB_DIR/$host.f" 2>&1 < /dev/null &
	filtering=$!
	wait "$mapping" || true
	wait "$filtering" || true
	echo "$host $(lab_behaviour Mapping "$(cat "$LAB_DIR/$host.m")") $(lab_behaviour Filtering "$(cat "$LAB_DIR/$host.f")")"
}

# direct, or nothing: between the first two hosts.
lab_simultaneous() {
	local a=$1 b=$2 family=4 first second
	[ -n "${LAB_ADDRESS4[$a]:-}" ] && [ -n "${LAB_ADDRESS4[$b]:-}" ] || family=6
	lab "$a" "$LAB_ROOT/tests/lab/simultaneous" "$LAB_DIR" "$a" "$b" $family > "$LAB_DIR/$a.heard" 2>&1 < /dev/null &
	first=$!
	lab "$b" "$LAB_ROOT/tests/lab/simultaneous" "$LAB_DIR" "$b" "$a" $family > "$LAB_DIR/$b.heard" 2>&1 < /dev/null &
	second=$!
	if wait "$first" && wait "$second"; then echo direct; else echo nothing; fi
}

lab_classify() {
	local name=$1 host found expected code=0
	"$LAB_ROOT/tests/lab/topology" classes "$(lab_topology_file "$name")" > "$LAB_DIR/expected"
	while read -r host _; do
		lab_found "$host" > "$LAB_DIR/$host.found" &
	done < "$LAB_DIR/expected"
	wait $(jobs -p | grep -vxF "$(printf '%s\n' "${LAB_PIDS[@]}")") || true
	printf '%-12s %-30s %s\n' host mapping filtering
	while read -r expected; do
		host=${expected%% *}
		found=$(cat "$LAB_DIR/$host.found")
		# shellcheck disable=SC2086
		printf '%-12s %-30s %-30s' $found
		if [ "$found" = "$expected" ]; then echo; else echo "the file says ${expected#* }"; code=1; fi
	done < "$LAB_DIR/expected"
	expected=$(sed -n 's/^simultaneous: //p' "$(lab_topology_file "$name")")
	[ -n "$expected" ] || return $code
	# shellcheck disable=SC2046
	found=$(lab_simultaneous $(cut -d' ' -f1 "$LAB_DIR/expected" | head -2))
	printf 'simultaneous sending to the STUN address: %s' "$found"
	if [ "$found" = "$expected" ]; then echo; else echo ", the file says $expected"; code=1; fi
	return $code
}
