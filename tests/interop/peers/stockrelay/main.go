// SPDX-License-Identifier: BSD-3-Clause

//go:build peers

// Command stockrelay is Tailscale's peer relay (its package net/udprelay) behind a DERP client: whoever asks by disco over
// DERP gets a path. It prints a line when it is there, and one for each request.
//
//	stockrelay -node FILE -disco FILE -derp IP:PORT -address IP:PORT   # FILEs: secret keys, base64
package main

import (
	"context"
	"encoding/base64"
	"flag"
	"fmt"
	"log"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"go4.org/mem"
	"tailscale.com/derp"
	"tailscale.com/derp/derphttp"
	"tailscale.com/disco"
	"tailscale.com/net/netmon"
	"tailscale.com/net/udprelay"
	"tailscale.com/tailcfg"
	"tailscale.com/types/key"
	"tailscale.com/types/logger"
	"tailscale.com/types/views"
	"tailscale.com/util/usermetric"
)

var (
	node    = flag.String("node", "", "file with the WireGuard key")
	secret  = flag.String("disco", "", "file with the disco key")
	relay   = flag.String("derp", "", "DERP relay, of region 1")
	address = flag.String("address", "", "where clients reach it; the port is bound")
)

func read(file string) mem.RO {
	text, err := os.ReadFile(file)
	if err != nil {
		log.Fatal(err)
	}
	b, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(b) != 32 {
		log.Fatalf("%s holds no key", file)
	}
	return mem.B(b)
}

func region() *tailcfg.DERPRegion {
	h, p, _ := net.SplitHostPort(*relay)
	port, _ := strconv.Atoi(p)
	return &tailcfg.DERPRegion{RegionID: 1, RegionCode: "lab", Nodes: []*tailcfg.DERPNode{
		{Name: "1a", RegionID: 1, HostName: "relay.test", IPv4: h, IPv6: "none", DERPPort: port, InsecureForTests: true}}}
}

func main() {
	flag.Parse()
	at := netip.MustParseAddrPort(*address)
	server, err := udprelay.NewServer(logger.Discard, at.Port(), true, new(usermetric.Registry), nil)
	if err != nil {
		log.Fatal(err)
	}
	server.SetStaticAddrPorts(views.SliceOf([]netip.AddrPort{at}))
	own := key.DiscoPrivateFromRaw32(read(*secret))
	client := derphttp.NewRegionClient(key.NodePrivateFromRaw32(read(*node)), logger.Discard, netmon.NewStatic(), region)
	if err := client.Connect(context.Background()); err != nil {
		log.Fatal(err)
	}
	fmt.Println("ready")
	for {
		m, err := client.Recv()
		if err != nil {
			log.Fatal(err)
		}
		if p, ok := m.(derp.ReceivedPacket); ok && disco.LooksLikeDiscoWrapper(p.Data) {
			answer(server, own, client, p)
		}
	}
}

func answer(server *udprelay.Server, own key.DiscoPrivate, client *derphttp.Client, p derp.ReceivedPacket) {
	sender := key.DiscoPublicFromRaw32(mem.B(p.Data[len(disco.Magic):][:32]))
	shared := own.Shared(sender)
	payload, ok := shared.Open(p.Data[len(disco.Magic)+32:])
	if !ok {
		return
	}
	parsed, err := disco.Parse(payload)
	if err != nil {
		return
	}
	ask, ok := parsed.(*disco.AllocateUDPRelayEndpointRequest)
	if !ok {
		return
	}
	e, err := server.AllocateEndpoint(ask.ClientDisco[0], ask.ClientDisco[1])
	if err != nil {
		fmt.Println("refused:", err)
		return
	}
	response := &disco.AllocateUDPRelayEndpointResponse{Generation: ask.Generation, UDPRelayEndpoint: disco.UDPRelayEndpoint{
		ServerDisco: e.ServerDisco, ClientDisco: e.ClientDisco, LamportID: e.LamportID, VNI: e.VNI,
		BindLifetime: e.BindLifetime.Duration, SteadyStateLifetime: e.SteadyStateLifetime.Duration, AddrPorts: e.AddrPorts}}
	b := own.Public().AppendTo([]byte(disco.Magic))
	client.Send(p.Source, append(b, shared.Seal(response.AppendMarshal(nil))...))
	fmt.Println("path", e.VNI)
}
