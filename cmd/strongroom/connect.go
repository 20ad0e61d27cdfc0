package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/knadh/koanf/parsers/toml/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/cobra"

	"strongroom.internal/api/client"
)

// connection is how a client's command reaches the cluster: flags first, then the client's configuration.
type connection struct {
	configPath  string
	nodes       []string
	credentials string
	timeout     time.Duration
}

// clientConfig is the client's TOML file.
type clientConfig struct {
	Nodes       []string // API addresses, host:port, best first
	Credentials string   // directory with cert.pem, key.pem and authority.pem; relative to the file
}

// connectionFlags adds the flags to a command and all under it.
func connectionFlags(c *cobra.Command) *connection {
	o := &connection{}
	f := c.PersistentFlags()
	f.StringVar(&o.configPath, "client-config", "", "TOML file with nodes and credentials (default ~/.config/strongroom/client.toml)")
	f.StringSliceVar(&o.nodes, "nodes", nil, "API addresses of the cluster's nodes: HOST:PORT,...")
	f.StringVar(&o.credentials, "credentials", "", "directory with cert.pem, key.pem and authority.pem")
	f.DurationVar(&o.timeout, "timeout", 15*time.Second, "how long to try")
	_ = c.MarkPersistentFlagDirname("credentials")
	_ = c.MarkPersistentFlagFilename("client-config", "toml")
	return o
}

// resolve fills in from the client's configuration what the flags leave open.
func (o *connection) resolve() ([]string, *tls.Config, error) {
	nodes, credentials := o.nodes, o.credentials
	if len(nodes) == 0 || credentials == "" {
		c, err := o.read()
		if err != nil {
			return nil, nil, err
		}
		if len(nodes) == 0 {
			nodes = c.Nodes
		}
		if credentials == "" {
			credentials = c.Credentials
		}
	}
	if len(nodes) == 0 || credentials == "" {
		return nil, nil, &exitError{exitUsage, errors.New(
			"which cluster, and as whom? Give --nodes and --credentials, or write both to ~/.config/strongroom/client.toml")}
	}
	nodes, err := peerAddresses(nodes)
	if err != nil {
		return nil, nil, &exitError{exitUsage, fmt.Errorf("--nodes: %w", err)}
	}
	config, err := clientTLS(credentials)
	return nodes, config, err
}

// read gives an empty configuration when there is no file and none was named.
func (o *connection) read() (c clientConfig, err error) {
	path := o.configPath
	if path == "" {
		dir, err := os.UserConfigDir()
		if err != nil {
			return c, nil
		}
		path = filepath.Join(dir, "strongroom", "client.toml")
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return c, nil
		}
	}
	k := koanf.New(".")
	if err := k.Load(file.Provider(path), toml.Parser()); err != nil {
		return c, fmt.Errorf("reading the client's configuration %s: %w", path, err)
	}
	for _, key := range slices.Sorted(slices.Values(k.Keys())) {
		if key != "nodes" && key != "credentials" {
			return c, fmt.Errorf("reading the client's configuration %s: %s: no such key; there are nodes and credentials", path, key)
		}
	}
	c = clientConfig{Nodes: k.Strings("nodes"), Credentials: k.String("credentials")}
	if c.Credentials != "" && !filepath.IsAbs(c.Credentials) {
		c.Credentials = filepath.Join(filepath.Dir(path), c.Credentials)
	}
	return c, nil
}

// connect makes the client, and says as whom.
func (o *connection) connect() (*client.Client, *tls.Config, error) {
	nodes, config, err := o.resolve()
	if err != nil {
		return nil, nil, err
	}
	cluster, err := client.New(client.Config{Nodes: nodes, TLS: config, Timeout: o.timeout})
	if err != nil {
		return nil, nil, &exitError{exitUsage, err}
	}
	return cluster, config, nil
}

// client is connect for those who need not know as whom.
func (o *connection) client() (*client.Client, error) {
	cluster, _, err := o.connect()
	return cluster, err
}

// open makes the client, and a context that bounds the whole command.
func (o *connection) open(c *cobra.Command) (*client.Client, context.Context, func(), error) {
	cluster, err := o.client()
	if err != nil {
		return nil, nil, nil, err
	}
	ctx, cancel := context.WithTimeout(c.Context(), o.timeout)
	return cluster, ctx, func() { cancel(); cluster.Close() }, nil
}

// opener is a connection, or what the commands of accounts share.
type opener interface {
	open(c *cobra.Command) (*client.Client, context.Context, func(), error)
}

// calls is the work of a command that makes one call and prints the answer.
func calls[T any](o opener, call func(*client.Client, context.Context) (T, error), print func(T) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, _ []string) error {
		cluster, ctx, end, err := o.open(c)
		if err != nil {
			return err
		}
		defer end()
		v, err := call(cluster, ctx)
		if err != nil {
			return err
		}
		return print(v)
	}
}

// callsOn is calls about what the first argument names.
func callsOn[T any](o opener, call func(*client.Client, context.Context, string) (T, error), print func(T) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		one := func(cluster *client.Client, ctx context.Context) (T, error) { return call(cluster, ctx, args[0]) }
		return calls(o, one, print)(c, nil)
	}
}
