// SPDX-License-Identifier: BSD-3-Clause

//go:build peers

// Command stockpeer is a stock Tailscale node (tsnet: its own path engine and WireGuard in user space) with a static netmap
// of one peer, given by a control server in the same process. It says what it is in DIR/self.json, pings the peer through
// the tunnel ten times a second once DIR/go exists, and says what becomes of each, one line of JSON.
//
//	stockpeer -dir DIR -node BASE64 -disco BASE64 | -peer DIR [-second] [-endpoint IP:PORT] [-derp IP:PORT -host NAME] [-stun IP] [-seconds N] [-relay-node BASE64 -relay-disco BASE64]
package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"go4.org/mem"
	"tailscale.com/tailcfg"
	"tailscale.com/tsnet"
	"tailscale.com/tstest/integration/testcontrol"
	"tailscale.com/types/key"
)

var (
	dir        = flag.String("dir", "", "directory for self.json, go and the node's state")
	node       = flag.String("node", "", "WireGuard key of the peer")
	disco      = flag.String("disco", "", "disco key of the peer")
	peerDir    = flag.String("peer", "", "instead of node and disco: directory of another stockpeer")
	second     = flag.Bool("second", false, "of two: has the address in the tunnel that the peer has otherwise")
	endpoint   = flag.String("endpoint", "", "an address of the peer")
	derp       = flag.String("derp", "", "relay, of region 1")
	host       = flag.String("host", "relay.test", "its name")
	stun       = flag.String("stun", "203.0.113.1", "address of a STUN server")
	relayNode  = flag.String("relay-node", "", "WireGuard key of a peer that may relay, 100.64.0.3")
	relayDisco = flag.String("relay-disco", "", "its disco key")
	seconds    = flag.Int("seconds", 20, "how long to ping")
)

var peerIP, ownIP = "100.64.0.1", "100.64.0.9"

// What another one says of itself, once it does; its endpoints as a control server would pass them on.
var told struct {
	Node, Disco string
	Endpoints   []netip.AddrPort
}

func takePeer() (changed bool) {
	before := len(told.Endpoints)
	for first := true; first || told.Disco == ""; first = false {
		if text, err := os.ReadFile(filepath.Join(*peerDir, "self.json")); err == nil {
			json.Unmarshal(text, &told)
		}
		time.Sleep(20 * time.Millisecond)
	}
	*node, *disco = told.Node, told.Disco
	return len(told.Endpoints) != before
}

func raw(text string) mem.RO {
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(b) != 32 {
		log.Fatalf("no key: %q", text)
	}
	return mem.B(b)
}

func derpMap() *tailcfg.DERPMap {
	h, p, err := net.SplitHostPort(*derp)
	if err != nil {
		return &tailcfg.DERPMap{OmitDefaultRegions: true, Regions: map[int]*tailcfg.DERPRegion{}}
	}
	port, _ := strconv.Atoi(p)
	return &tailcfg.DERPMap{OmitDefaultRegions: true, Regions: map[int]*tailcfg.DERPRegion{1: {RegionID: 1, RegionCode: "lab",
		Nodes: []*tailcfg.DERPNode{
			{Name: "1a", RegionID: 1, HostName: *host, IPv4: h, IPv6: "none", DERPPort: port, STUNPort: -1, InsecureForTests: true},
			{Name: "1b", RegionID: 1, HostName: "stun.test", IPv4: *stun, IPv6: "none", STUNOnly: true, STUNPort: 3478},
		}}}}
}

func netmap(req *tailcfg.MapRequest) *tailcfg.MapResponse {
	now := time.Now()
	self := netip.MustParsePrefix(ownIP + "/32")
	other := netip.MustParsePrefix(peerIP + "/32")
	online := true
	peer := &tailcfg.Node{ID: 2, StableID: "n2", Name: "gateway.test.", User: 1, Key: key.NodePublicFromRaw32(raw(*node)),
		DiscoKey: key.DiscoPublicFromRaw32(raw(*disco)), Addresses: []netip.Prefix{other}, AllowedIPs: []netip.Prefix{other},
		Cap: 120, MachineAuthorized: true, Online: &online, Hostinfo: (&tailcfg.Hostinfo{}).View()}
	if *derp != "" {
		peer.HomeDERP = 1
	}
	if *endpoint != "" {
		peer.Endpoints = []netip.AddrPort{netip.MustParseAddrPort(*endpoint)}
	}
	peer.Endpoints = append(peer.Endpoints, told.Endpoints...)
	peers, filter := []*tailcfg.Node{peer}, tailcfg.FilterAllowAll
	if *relayNode != "" {
		third := netip.MustParsePrefix("100.64.0.3/32")
		peer.Cap = tailcfg.CurrentCapabilityVersion // peer relays need it of all three
		peers = append(peers, &tailcfg.Node{ID: 3, StableID: "n3", Name: "relay.test.", User: 1,
			Key: key.NodePublicFromRaw32(raw(*relayNode)), DiscoKey: key.DiscoPublicFromRaw32(raw(*relayDisco)),
			Addresses: []netip.Prefix{third}, AllowedIPs: []netip.Prefix{third}, HomeDERP: 1, Cap: tailcfg.CurrentCapabilityVersion,
			MachineAuthorized: true, Online: &online, Hostinfo: (&tailcfg.Hostinfo{}).View()})
		filter = append(filter[:len(filter):len(filter)], tailcfg.FilterRule{SrcIPs: []string{third.String()},
			CapGrant: []tailcfg.CapGrant{{Dsts: []netip.Prefix{self}, CapMap: tailcfg.PeerCapMap{tailcfg.PeerCapabilityRelayTarget: nil}}}})
	}
	return &tailcfg.MapResponse{
		Node: &tailcfg.Node{ID: 1, StableID: "n1", Name: "stock.test.", User: 1, Key: req.NodeKey, Addresses: []netip.Prefix{self},
			AllowedIPs: []netip.Prefix{self}, Cap: tailcfg.CurrentCapabilityVersion, MachineAuthorized: true},
		Peers: peers, DERPMap: derpMap(), PacketFilter: filter, DNSConfig: &tailcfg.DNSConfig{},
		Domain: "test", UserProfiles: []tailcfg.UserProfile{{ID: 1, LoginName: "a@test"}}, ControlTime: &now}
}

var writing sync.Mutex

// What the node says of itself: the last word on each.
func note(req *tailcfg.MapRequest) {
	writing.Lock()
	defer writing.Unlock()
	if req.DiscoKey.IsZero() {
		return
	}
	n, d := req.NodeKey.Raw32(), req.DiscoKey.Raw32()
	home := 0
	if req.Hostinfo != nil && req.Hostinfo.NetInfo != nil {
		home = req.Hostinfo.NetInfo.PreferredDERP
	}
	text, _ := json.Marshal(map[string]any{"node": base64.StdEncoding.EncodeToString(n[:]),
		"disco": base64.StdEncoding.EncodeToString(d[:]), "endpoints": req.Endpoints, "home": home})
	path := filepath.Join(*dir, "self.json")
	os.WriteFile(path+".new", text, 0o644)
	os.Rename(path+".new", path)
}

func stream(ctx context.Context, w testcontrol.MapStreamWriter, req *tailcfg.MapRequest) {
	note(req)
	if !req.Stream {
		w.SendMapMessage(&tailcfg.MapResponse{})
		return
	}
	if *peerDir != "" {
		takePeer()
	}
	w.SendMapMessage(netmap(req))
	tick, alive := time.NewTicker(200*time.Millisecond), time.NewTicker(50*time.Second)
	defer tick.Stop()
	defer alive.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if *peerDir != "" && takePeer() {
				w.SendMapMessage(netmap(req))
			}
		case <-alive.C:
			w.SendMapMessage(&tailcfg.MapResponse{KeepAlive: true})
		}
	}
}

func main() {
	flag.Parse()
	if *second {
		peerIP, ownIP = ownIP, peerIP
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	quiet := func(string, ...any) {}
	logf := quiet
	if os.Getenv("STOCKPEER_VERBOSE") != "" {
		logf = log.Printf
	}
	control := &testcontrol.Server{Logf: quiet, DERPMap: derpMap(), ExplicitBaseURL: "http://" + ln.Addr().String(), AltMapStream: stream}
	go http.Serve(ln, control)
	s := &tsnet.Server{Dir: filepath.Join(*dir, "state"), Hostname: "stock", ControlURL: control.ExplicitBaseURL, AuthKey: "x",
		Ephemeral: true, Logf: logf, UserLogf: quiet, Port: 41641}
	os.MkdirAll(s.Dir, 0o700)
	ctx := context.Background()
	if _, err := s.Up(ctx); err != nil {
		log.Fatal(err)
	}
	lc, err := s.LocalClient()
	if err != nil {
		log.Fatal(err)
	}
	for _, err := os.Stat(filepath.Join(*dir, "go")); err != nil; _, err = os.Stat(filepath.Join(*dir, "go")) {
		time.Sleep(20 * time.Millisecond)
	}
	began := time.Now()
	var printing sync.Mutex
	for time.Since(began) < time.Duration(*seconds)*time.Second {
		go func() {
			at := time.Since(began)
			c, cancel := context.WithTimeout(ctx, 4*time.Second)
			defer cancel()
			r, err := lc.Ping(c, netip.MustParseAddr(peerIP), tailcfg.PingICMP)
			ok := err == nil && r.Err == ""
			address, relay, through := "", "", ""
			if st, err := lc.Status(c); err == nil {
				for k, p := range st.Peer {
					if k != key.NodePublicFromRaw32(raw(*node)) {
						continue
					}
					address, relay, through = p.CurAddr, p.Relay, p.PeerRelay
				}
			}
			printing.Lock()
			defer printing.Unlock()
			fmt.Printf("{\"at\":%.3f,\"ok\":%v,\"direct\":%q,\"relay\":%q,\"through\":%q,\"rtt\":%.4f}\n", at.Seconds(), ok, address, relay, through,
				time.Since(began).Seconds()-at.Seconds())
		}()
		time.Sleep(100 * time.Millisecond)
	}
	time.Sleep(4200 * time.Millisecond)
}
