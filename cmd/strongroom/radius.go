package main

import (
	_ "embed"
	"fmt"
	"io"
	"net"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"strongroom.internal/api/client"
	"strongroom.internal/cmd/strongroom/internal/config"
	"strongroom.internal/radius"
)

//go:embed radius.example.toml
var radiusExample string

func newRadius(t *terminal) *cobra.Command {
	var path string
	c := &cobra.Command{
		Use:   "radius --config FILE",
		Short: "Answer RADIUS for VPNs and older clients, which send app passwords",
		Long: `Runs a RADIUS server (UDP, PAP) that is a front-end of the cluster: User-Name is the account, User-Password one of its
app passwords. It needs nothing of a node and runs anywhere. While it can't reach the cluster it doesn't answer.

Each request must have a Message-Authenticator. SIGTERM or SIGINT: it answers what it has begun, and ends. Exit code 78:
the configuration is wrong, and starting again can't help.`,
		Example: `  strongroom radius example >radius.toml
  strongroom radius --config radius.toml`,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 || path == "" {
				return usage(c, fmt.Errorf("--config names the server's configuration"))
			}
			log := newLogger(&config.Config{Log: config.Defaults().Log}, t.err).Named("radius")
			if err := harden(); err != nil {
				log.Warn("this process could not be hardened", "error", err)
			}
			return serveRadius(c, path, log)
		},
	}
	c.Flags().StringVar(&path, "config", "", "the server's configuration (TOML)")
	_ = c.MarkFlagFilename("config", "toml")
	c.AddCommand(&cobra.Command{
		Use:   "example",
		Short: "Print a commented configuration to start from",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := io.WriteString(t.out, radiusExample)
			return err
		},
	})
	return c
}

func serveRadius(c *cobra.Command, path string, log hclog.Logger) error {
	cfg, err := readRadiusConfig(path)
	if err != nil {
		return &exitError{exitConfig, err}
	}
	defer cfg.destroy()
	credentials, err := clientTLS(cfg.credentials)
	if err != nil {
		return &exitError{exitConfig, err}
	}
	cluster, err := client.New(client.Config{Nodes: cfg.nodes, TLS: credentials})
	if err != nil {
		return &exitError{exitConfig, err}
	}
	defer cluster.Close()
	server, err := radius.New(radius.Config{Cluster: cluster, Clients: cfg.clients, Log: log})
	if err != nil {
		return &exitError{exitConfig, err}
	}
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(cfg.listen))
	if err != nil {
		return fmt.Errorf("listening for RADIUS: %w", err)
	}
	log.Info("listening", "address", conn.LocalAddr().String())
	return server.Serve(c.Context(), conn)
}
