// SPDX-License-Identifier: BSD-3-Clause

// Command derpcheck drives a DERP relay with Tailscale's own client library and says what holds, one line each.
//
//	derpcheck -addr [NAME@]127.0.0.1:8443 -host relay.test [-pin sha256-raw:HEX] [-mesh HEXFILE] [-via [NAME@]ADDRESS:PORT] [-to KEY] SET…
//
// -pin: verify the certificate by that pin; else not at all. -via: a second relay of the mesh. Keys of clients are made
// from small numbers, so that a relay can be told to admit some of them: see `derpcheck keys N`.
package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"log"
	mathrand "math/rand"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"go4.org/mem"
	"tailscale.com/derp"
	"tailscale.com/derp/derphttp"
	"tailscale.com/net/netmon"
	"tailscale.com/tailcfg"
	"tailscale.com/types/key"
	"tailscale.com/types/logger"
)

var (
	addr = flag.String("addr", "127.0.0.1:8443", "relay")
	via  = flag.String("via", "", "another relay of the mesh")
	host = flag.String("host", "relay.test", "its name")
	pin  = flag.String("pin", "", "sha256-raw:HEX of its certificate")
	mesh = flag.String("mesh", "", "file with the mesh key in hexadecimal")
	to   = flag.String("to", "", "public key of a gateway to be hostile to, base64")
)

func nodeKey(n uint32) key.NodePrivate {
	var b [32]byte
	binary.BigEndian.PutUint32(b[4:], n+1)
	b[31] = 64
	return key.NodePrivateFromRaw32(mem.B(b[:]))
}

type client struct {
	*derphttp.Client
	pub key.NodePublic
	in  chan derp.ReceivedMessage
	err chan error
}

func region(addr string) *tailcfg.DERPRegion {
	name := *host
	if before, after, ok := strings.Cut(addr, "@"); ok {
		name, addr = before, after
	}
	h, p, _ := net.SplitHostPort(addr)
	port, _ := strconv.Atoi(p)
	n := &tailcfg.DERPNode{Name: "1a", RegionID: 1, HostName: name, DERPPort: port, CertName: *pin, InsecureForTests: *pin == "",
		IPv4: "none", IPv6: "none"}
	if ip := netip.MustParseAddr(h); ip.Is4() {
		n.IPv4 = h
	} else {
		n.IPv6 = h
	}
	return &tailcfg.DERPRegion{RegionID: 1, RegionCode: "test", Nodes: []*tailcfg.DERPNode{n}}
}

func raw(priv key.NodePrivate, addr string) *derphttp.Client {
	return derphttp.NewRegionClient(priv, logger.Discard, netmon.NewStatic(), func() *tailcfg.DERPRegion { return region(addr) })
}

func meshKey() key.DERPMesh {
	b, err := os.ReadFile(*mesh)
	check(err)
	k, err := key.ParseDERPMesh(strings.TrimSpace(string(b)))
	check(err)
	return k
}

// What must come comes at once; a machine that has other things to do, too, may take its time.
const patience = 20 * time.Second

// connect returns after ServerInfo has come, so that the relay knows the client.
func connect(n uint32, addr string, change func(*derphttp.Client)) (*client, error) {
	priv := nodeKey(n)
	c := &client{Client: raw(priv, addr), pub: priv.Public(), in: make(chan derp.ReceivedMessage, 4096), err: make(chan error, 1)}
	c.SetCanAckPings(true)
	if change != nil {
		change(c.Client)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := c.Connect(ctx); err != nil {
		return nil, err
	}
	first := make(chan error, 1)
	go func() {
		for i := 0; ; i++ {
			m, err := c.Recv()
			if i == 0 {
				first <- err
			}
			if err != nil {
				c.err <- err
				return
			}
			if p, ok := m.(derp.ReceivedPacket); ok {
				p.Data = bytes.Clone(p.Data)
				m = p
			}
			select {
			case c.in <- m:
			default:
			}
		}
	}()
	select {
	case err := <-first:
		return c, err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

var open []*client // of the check that runs

func join(n uint32, addr string) *client {
	c, err := connect(n, addr, nil)
	check(err)
	open = append(open, c)
	return c
}

// wait returns the next message that `want` accepts; nil after the time.
func wait[T derp.ReceivedMessage](c *client, d time.Duration, want func(T) bool) *T {
	end := time.After(d)
	for {
		select {
		case m := <-c.in:
			if v, ok := m.(T); ok && (want == nil || want(v)) {
				return &v
			}
		case <-end:
			return nil
		}
	}
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func must(ok bool, format string, args ...any) {
	if !ok {
		panic(fmt.Sprintf(format, args...))
	}
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

func disco(n int) []byte {
	return append([]byte("TS\xf0\x9f\x92\xac"), random(n-6)...)
}

func gets(to *client, from key.NodePublic, data []byte) bool {
	return wait(to, patience, func(p derp.ReceivedPacket) bool { return p.Source == from && bytes.Equal(p.Data, data) }) != nil
}

func delivers(from, to *client, data []byte) {
	check(from.Send(to.pub, data))
	must(gets(to, from.pub, data), "a packet of %d bytes does not arrive", len(data))
}

var sets = map[string][]struct {
	text string
	run  func()
}{
	"basic": {
		{"packets of 0 to 65536 bytes arrive as they were sent", func() {
			a, b := join(1, *addr), join(2, *addr)
			for _, n := range []int{0, 1, 31, 148, 1300, 4091, 16347, 16348, 32768, 65535, 65536} {
				delivers(a, b, random(n))
				delivers(b, a, random(n))
			}
		}},
		{"many packets arrive in order", func() {
			a, b := join(1, *addr), join(2, *addr)
			for round := 0; round < 50; round++ {
				for i := 0; i < 20; i++ {
					check(a.Send(b.pub, binary.BigEndian.AppendUint32(random(1200), uint32(round*20+i))))
				}
				for i := 0; i < 20; i++ {
					p := wait[derp.ReceivedPacket](b, patience, nil)
					must(p != nil && binary.BigEndian.Uint32(p.Data[1200:]) == uint32(round*20+i), "packet %d", round*20+i)
				}
			}
		}},
		{"a packet to oneself", func() { a := join(1, *addr); delivers(a, a, random(100)) }},
		{"ping and pong", func() {
			a := join(1, *addr)
			for i := byte(0); i < 5; i++ {
				want := [8]byte{1, 2, 3, 4, 5, 6, 7, i}
				check(a.SendPing(want))
				must(wait(a, patience, func(p derp.PongMessage) bool { return p == derp.PongMessage(want) }) != nil, "no pong")
			}
		}},
		{"fast start: the server's key comes with the certificate", func() {
			a := join(1, *addr)
			st, ok := a.TLSConnectionState()
			must(ok && st.Version == 0x0304, "not TLS 1.3")
			last := st.PeerCertificates[len(st.PeerCertificates)-1]
			must(strings.HasPrefix(last.Subject.CommonName, "derpkey"), "last certificate is %q", last.Subject.CommonName)
			must(!a.ServerPublicKey().IsZero(), "no key")
		}},
		{"who had packets from a client hears that it left, once", func() {
			a, b, c := join(1, *addr), join(2, *addr), join(3, *addr)
			delivers(a, b, random(60))
			delivers(c, b, random(60))
			a.Close()
			must(wait(b, patience, func(m derp.PeerGoneMessage) bool { return m.Peer == a.pub && m.Reason == 0 }) != nil, "not told")
			must(wait(c, 300*time.Millisecond, func(m derp.PeerGoneMessage) bool { return true }) == nil, "told who had none")
		}},
		{"path discovery for an absent key is answered, three times at once", func() {
			a := join(1, *addr)
			absent := nodeKey(999).Public()
			check(a.Send(absent, random(100)))
			for i := 0; i < 10; i++ {
				check(a.Send(absent, disco(100)))
			}
			n := 0
			for d := patience; wait(a, d, func(m derp.PeerGoneMessage) bool { return m.Peer == absent && m.Reason == 1 }) != nil; {
				if n++; n >= 3 {
					d = 500 * time.Millisecond
				}
			}
			must(n == 3, "%d answers", n)
		}},
		{"of two connections with one key the one that spoke last receives", func() {
			a, b := join(1, *addr), join(2, *addr)
			b2 := join(2, *addr)
			delivers(a, b2, random(50))
			b.NotePreferred(true)
			check(b.SendPing([8]byte{}))
			must(wait[derp.PongMessage](b, patience, nil) != nil, "no pong")
			delivers(a, b, random(50))
			b.Close()
			again := false
			for end := time.Now().Add(patience); !again && time.Now().Before(end); { // until the relay has seen it go
				check(a.Send(b2.pub, []byte("again")))
				again = wait(b2, 200*time.Millisecond, func(p derp.ReceivedPacket) bool { return string(p.Data) == "again" }) != nil
			}
			must(again, "it receives nothing when the other has left")
		}},
		{"frames of the mesh end a connection without the mesh key", func() {
			a := join(1, *addr)
			check(a.ForwardPacket(nodeKey(5).Public(), nodeKey(6).Public(), random(100)))
			select {
			case <-a.err:
			case <-time.After(3 * time.Second):
				panic("it goes on")
			}
		}},
	},
	"faults": {{"a client that does not read is cut off, and others notice nothing", func() {
		a, b, c := join(1, *addr), join(2, *addr), join(3, *addr)
		slow := raw(nodeKey(9), *addr)
		check(slow.Connect(context.Background()))
		defer slow.Close()
		for end := time.Now().Add(2 * patience); time.Now().Before(end); {
			for i := 0; i < 2000; i++ {
				check(a.Send(nodeKey(9).Public(), random(1300)))
			}
			delivers(b, c, random(200))
			check(a.Send(nodeKey(9).Public(), disco(100)))
			if wait(a, 300*time.Millisecond, func(m derp.PeerGoneMessage) bool { return m.Reason == 1 }) != nil {
				return
			}
		}
		panic("it is not")
	}}},
	"hostile": {{"a stranger's packets, whole, cut short, twice and in any order, are taken by the relay", func() {
		a := join(1, *addr)
		b, err := base64.StdEncoding.DecodeString(*to)
		check(err)
		victim := key.NodePublicFromRaw32(mem.B(b))
		var all [][]byte
		for _, n := range []int{0, 1, 4, 31, 32, 64, 92, 148, 149, 1300, 4000, 65536} {
			for kind := byte(0); kind < 6; kind++ {
				p := random(n)
				if n >= 4 {
					copy(p, []byte{kind, 0, 0, 0})
				}
				all = append(all, p, p[:n/2])
			}
			if n > 6 {
				all = append(all, disco(n))
			}
		}
		all = append(all, all...)
		mathrand.Shuffle(len(all), func(i, k int) { all[i], all[k] = all[k], all[i] })
		for _, p := range all {
			check(a.Send(victim, p))
		}
		must(wait(a, time.Second, func(m derp.PeerGoneMessage) bool { return true }) == nil, "the gateway is not there")
	}}},
	"health": {
		{"of a connection that is left for another nobody is told", func() {
			old, a := join(2, *addr), join(2, *addr)
			check(old.SendPing([8]byte{1}))
			must(wait[derp.PongMessage](old, patience, nil) != nil, "no pong")
			must(wait[derp.HealthMessage](a, time.Second, nil) == nil, "a health frame")
		}},
		{"two clients with one key are told so, and that it has passed", func() {
			a, b := join(2, *addr), join(2, *addr)
			ill := func(m derp.HealthMessage) bool { return strings.Contains(m.Problem, "another connection") }
			time.Sleep(6 * time.Second)
			for _, c := range []*client{a, b, a} {
				check(c.SendPing([8]byte{2}))
				time.Sleep(100 * time.Millisecond)
			}
			must(wait(a, patience, ill) != nil && wait(b, patience, ill) != nil, "not told")
			must(wait[derp.HealthMessage](b, 300*time.Millisecond, nil) == nil, "told twice")
			a.Close()
			must(wait(b, patience, func(m derp.HealthMessage) bool { return m.Problem == "" }) != nil, "not told that it has passed")
		}},
	},
	"alive": {{"a packet arrives", func() { delivers(join(1, *addr), join(2, *addr), random(100)) }}},
	"websocket": {
		{"over WebSocket, packets of 0 to 32000 bytes", func() {
			a, b := join(1, *addr), join(2, *addr)
			for _, n := range []int{0, 1, 148, 1300, 4091, 16347, 16348, 32000} {
				delivers(a, b, random(n))
				delivers(b, a, random(n))
			}
			want := [8]byte{9, 8, 7}
			check(a.SendPing(want))
			must(wait(a, patience, func(p derp.PongMessage) bool { return p == derp.PongMessage(want) }) != nil, "no pong")
		}},
	},
	"admission": {
		{"an admitted key enters", func() { a, b := join(1, *addr), join(2, *addr); delivers(a, b, random(100)) }},
		{"another does not", func() {
			_, err := connect(77, *addr, nil)
			must(err != nil, "it does")
		}},
	},
	"mesh": {
		{"a server of the mesh sees who is there, comes and goes", func() {
			a := join(1, *addr)
			c := raw(nodeKey(50), *addr)
			c.MeshKey = meshKey()
			add, remove := make(chan derp.PeerPresentMessage, 100), make(chan derp.PeerGoneMessage, 100)
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			go c.RunWatchConnectionLoop(ctx, key.NodePublic{}, nil, func(m derp.PeerPresentMessage) { add <- m },
				func(m derp.PeerGoneMessage) { remove <- m }, func(err error) { fmt.Println(err) })
			seen := func(k key.NodePublic) derp.PeerPresentMessage {
				for {
					select {
					case m := <-add:
						if m.Key == k {
							return m
						}
					case <-time.After(3 * time.Second):
						panic("not seen")
					}
				}
			}
			m := seen(a.pub)
			local, _ := a.LocalAddr()
			must(m.IPPort == local, "address %v, is %v", m.IPPort, local)
			must(m.Flags == derp.PeerPresentIsRegular, "flags %v", m.Flags)
			b := join(2, *addr)
			seen(b.pub)
			b.Close()
			for {
				select {
				case m := <-remove:
					if m.Peer == b.pub {
						return
					}
				case <-time.After(3 * time.Second):
					panic("leaving not seen")
				}
			}
		}},
		{"it forwards packets and closes clients", func() {
			a := join(1, *addr)
			m, err := connect(51, *addr, func(c *derphttp.Client) { c.MeshKey = meshKey() })
			check(err)
			open = append(open, m)
			far := nodeKey(600).Public()
			data := random(500)
			check(m.ForwardPacket(far, a.pub, data))
			must(gets(a, far, data), "not forwarded")
			check(m.ClosePeer(a.pub))
			select {
			case <-a.err:
			case <-time.After(3 * time.Second):
				panic("not closed")
			}
		}},
	},
	"meshed": {
		{"clients of two relays reach each other", func() {
			a, b := join(1, *addr), join(2, *via)
			both := func() bool {
				a.Send(b.pub, []byte("ab"))
				b.Send(a.pub, []byte("ba"))
				return wait[derp.ReceivedPacket](a, 500*time.Millisecond, nil) != nil && wait[derp.ReceivedPacket](b, 500*time.Millisecond, nil) != nil
			}
			ok := false
			for i := 0; i < 30 && !ok; i++ {
				ok = both()
			}
			must(ok, "not in 15 s")
			for i := 0; i < 20; i++ {
				delivers(a, b, random(1000+i))
				delivers(b, a, random(1000+i))
			}
			b.Close()
			must(wait(a, patience, func(m derp.PeerGoneMessage) bool { return m.Peer == b.pub && m.Reason == 0 }) != nil,
				"the end of a client of the other relay is not told")
		}},
	},
}

func run(text string, fn func()) (ok bool) {
	defer func() {
		if e := recover(); e != nil {
			fmt.Printf("FAIL  %s: %v\n", text, e)
			ok = false
		}
	}()
	defer func() {
		for _, c := range open {
			c.Close()
		}
		open = nil
		time.Sleep(50 * time.Millisecond) // for the relay to see it
	}()
	fn()
	fmt.Printf("PASS  %s\n", text)
	return true
}

func main() {
	flag.Parse()
	log.SetOutput(io.Discard) // the library's
	if flag.Arg(0) == "keys" { // public keys of clients 1 to N, base64
		n, _ := strconv.Atoi(flag.Arg(1))
		for i := 1; i <= n; i++ {
			k := nodeKey(uint32(i)).Public().Raw32()
			fmt.Println(base64.StdEncoding.EncodeToString(k[:]))
		}
		return
	}
	bad := flag.NArg() == 0
	for _, name := range flag.Args() {
		set, ok := sets[name]
		bad = bad || !ok
		for _, t := range set {
			bad = !run(t.text, t.run) || bad
		}
	}
	if bad {
		os.Exit(1)
	}
}
