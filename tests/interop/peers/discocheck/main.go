// SPDX-License-Identifier: BSD-3-Clause

//go:build peers

// Command discocheck has Tailscale's own disco library and ours (the program disco-tool, which it runs) read what the other
// writes: random keys, transaction ids, addresses, paddings. Prints PASS or FAIL and what.
//
//	discocheck DISCO-TOOL [ROUNDS]
package main

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"log"
	"math/big"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"go4.org/mem"
	"tailscale.com/disco"
	"tailscale.com/types/key"
)

var (
	in  io.Writer
	out *bufio.Reader
)

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

func number(n int64) int {
	v, _ := rand.Int(rand.Reader, big.NewInt(n))
	return int(v.Int64())
}

func ask(words ...string) string {
	fmt.Fprintln(in, strings.Join(words, " "))
	line, err := out.ReadString('\n')
	if err != nil {
		log.Fatalf("disco-tool ended: %v", err)
	}
	return strings.TrimSpace(line)
}

func address() netip.AddrPort {
	var a netip.Addr
	if number(2) == 0 {
		a, _ = netip.AddrFromSlice(random(4))
	} else {
		a, _ = netip.AddrFromSlice(append([]byte{0x20, 1}, random(14)...))
	}
	return netip.AddrPortFrom(a, uint16(number(65536)))
}

func words(a []netip.AddrPort) []string {
	var w []string
	for _, ap := range a {
		w = append(w, hex.EncodeToString(ap.Addr().AsSlice()), strconv.Itoa(int(ap.Port())))
	}
	return w
}

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		log.Fatalf("no hexadecimal: %q", s)
	}
	return b
}

// Ours is a key of random bytes; theirs is made by their library.
type pair struct {
	ours         []byte // secret
	oursPublic   key.DiscoPublic
	theirs       key.DiscoPrivate
	theirsPublic string
	shared       key.DiscoShared
}

func newPair() pair {
	p := pair{theirs: key.NewDisco()}
	node := key.NewNode() // for a secret whose bytes can be had
	raw := node.UntypedHexString()
	p.ours = unhex(raw)
	pub := node.Public().Raw32()
	p.oursPublic = key.DiscoPublicFromRaw32(mem.B(pub[:]))
	public := p.theirs.Public().Raw32()
	p.theirsPublic = hex.EncodeToString(public[:])
	p.shared = p.theirs.Shared(p.oursPublic)
	return p
}

func (p *pair) seal(payload []byte) string {
	own := p.theirs.Public().Raw32()
	d := append([]byte(disco.Magic), own[:]...)
	return hex.EncodeToString(append(d, p.shared.Seal(payload)...))
}

func (p *pair) open(datagram []byte) disco.Message {
	if !disco.LooksLikeDiscoWrapper(datagram) || !bytes.Equal(datagram[6:38], func() []byte { r := p.oursPublic.Raw32(); return r[:] }()) {
		return nil
	}
	payload, ok := p.shared.Open(datagram[38:])
	if !ok {
		return nil
	}
	m, err := disco.Parse(payload)
	if err != nil {
		return nil
	}
	return m
}

func theirs(p *pair) error { // they write, we read
	var tx [12]byte
	copy(tx[:], random(12))
	node := key.NewNode().Public()
	raw := node.Raw32()
	var list []netip.AddrPort
	for range number(20) + 1 {
		list = append(list, address())
	}
	padding := number(2000)
	seen := address()
	for want, m := range map[string]disco.Message{
		fmt.Sprintf("ping %x %x %d", tx, raw, padding):                                  &disco.Ping{TxID: tx, NodeKey: node, Padding: padding},
		fmt.Sprintf("pong %x %s", tx, strings.Join(words([]netip.AddrPort{seen}), " ")): &disco.Pong{TxID: tx, Src: seen},
		"call " + strings.Join(words(list), " "):                                        &disco.CallMeMaybe{MyNumber: list},
	} {
		got := ask("open", hex.EncodeToString(p.ours), p.theirsPublic, p.seal(m.AppendMarshal(nil)))
		if got != want {
			return fmt.Errorf("read %q, written was %q", got, want)
		}
	}
	spoilt := unhex(p.seal((&disco.Pong{TxID: tx, Src: seen}).AppendMarshal(nil)))
	spoilt[38+number(int64(len(spoilt)-38))] ^= 1 << number(8)
	if got := ask("open", hex.EncodeToString(p.ours), p.theirsPublic, hex.EncodeToString(spoilt)); got != "bad" {
		return fmt.Errorf("a spoilt datagram was read as %q", got)
	}
	return nil
}

func ours(p *pair) error { // we write, they read
	tx := random(12)
	node := key.NewNode().Public()
	raw := node.Raw32()
	secret := hex.EncodeToString(p.ours)
	ping, ok := p.open(unhex(ask("ping", secret, p.theirsPublic, hex.EncodeToString(tx), hex.EncodeToString(raw[:])))).(*disco.Ping)
	if !ok || !bytes.Equal(ping.TxID[:], tx) || ping.NodeKey != node || ping.Padding != 0 {
		return fmt.Errorf("ping was read as %+v", ping)
	}
	seen := address()
	pong, ok := p.open(unhex(ask(append([]string{"pong", secret, p.theirsPublic, hex.EncodeToString(tx)}, words([]netip.AddrPort{seen})...)...))).(*disco.Pong)
	if !ok || !bytes.Equal(pong.TxID[:], tx) || pong.Src != seen {
		return fmt.Errorf("pong from %v was read as %+v", seen, pong)
	}
	var list []netip.AddrPort
	for range number(96) + 1 {
		list = append(list, address())
	}
	call, ok := p.open(unhex(ask(append([]string{"call", secret, p.theirsPublic}, words(list)...)...))).(*disco.CallMeMaybe)
	if !ok || len(call.MyNumber) != len(list) {
		return fmt.Errorf("a call with %d addresses was read as %+v", len(list), call)
	}
	for i, a := range list {
		if call.MyNumber[i] != a {
			return fmt.Errorf("address %v was read as %v", a, call.MyNumber[i])
		}
	}
	return nil
}

func main() {
	rounds := 300
	if len(os.Args) > 2 {
		rounds, _ = strconv.Atoi(os.Args[2])
	}
	c := exec.Command(os.Args[1])
	in, _ = c.StdinPipe()
	pipe, _ := c.StdoutPipe()
	out = bufio.NewReaderSize(pipe, 1<<20)
	if err := c.Start(); err != nil {
		log.Fatal(err)
	}
	for name, check := range map[string]func(*pair) error{"Tailscale's messages are read": theirs, "Tailscale reads ours": ours} {
		verdict := "PASS"
		for range rounds {
			p := newPair()
			if err := check(&p); err != nil {
				verdict = "FAIL"
				name += ": " + err.Error()
				break
			}
		}
		fmt.Printf("%s  %s, %d rounds\n", verdict, name, rounds)
	}
}
