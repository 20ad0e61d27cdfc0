package main

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"

	"github.com/knadh/koanf/parsers/toml/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"

	"strongroom.internal/cmd/strongroom/internal/config"
	"strongroom.internal/radius"
)

// radiusConfig is the TOML file of `strongroom radius`; see radius.example.toml.
type radiusConfig struct {
	listen      netip.AddrPort
	nodes       []string
	credentials string
	clients     []radius.Client
}

// maxSharedSecret bounds a RADIUS secret in bytes: no client takes a longer one.
const maxSharedSecret = 253

// serviceID is what the API takes as the id of a service.
var serviceID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

func (c *radiusConfig) destroy() {
	for _, k := range c.clients {
		k.Secret.Destroy()
	}
}

// readRadiusConfig reads the file and the secrets that it names, and reports everything that is wrong.
func readRadiusConfig(path string) (*radiusConfig, error) {
	k := koanf.New("\x00") // no key has a dot in it that means something
	if err := k.Load(file.Provider(path), toml.Parser()); err != nil {
		return nil, fmt.Errorf("reading the configuration %s: %w; `strongroom radius example` prints one to start from", path, err)
	}
	c := &radiusConfig{}
	problems := unknownKeys(k, "listen", "nodes", "credentials", "clients")
	var err error
	if c.listen, err = netip.ParseAddrPort(textOf(k, "listen")); err != nil {
		problems = append(problems, errors.New("listen: must be an IP address and a port in quotes, such as \"192.0.2.10:1812\""))
	}
	list, _ := k.Get("nodes").([]any)
	for _, n := range list {
		s, _ := n.(string)
		c.nodes = append(c.nodes, s)
	}
	if c.nodes, err = peerAddresses(c.nodes); err != nil || len(c.nodes) == 0 || slices.Contains(c.nodes, "") {
		problems = append(problems, errors.New("nodes: must be a list of HOST:PORT in quotes"))
	}
	if c.credentials = besides(path, textOf(k, "credentials")); c.credentials == "" {
		problems = append(problems, errors.New("credentials: is needed, a directory"))
	}
	tables := k.Slices("clients")
	if len(tables) == 0 {
		problems = append(problems, errors.New("clients: at least one table [[clients]] is needed"))
	}
	for i, table := range tables {
		one, wrong := readRadiusClient(path, table)
		for _, err := range wrong {
			problems = append(problems, fmt.Errorf("clients, number %d: %w", i+1, err))
		}
		c.clients = append(c.clients, one)
	}
	if len(problems) > 0 {
		c.destroy()
		return nil, &config.Error{Path: path, Problems: problems}
	}
	return c, nil
}

func readRadiusClient(path string, table *koanf.Koanf) (c radius.Client, problems []error) {
	problems = unknownKeys(table, "network", "secret_file", "service")
	var err error
	if c.Network, err = netip.ParsePrefix(textOf(table, "network")); err != nil {
		problems = append(problems, errors.New("network: must be CIDR in quotes, such as \"192.0.2.0/24\""))
	}
	if c.Service = textOf(table, "service"); !serviceID.MatchString(c.Service) {
		problems = append(problems, fmt.Errorf("service: must be in quotes and match %v", serviceID))
	}
	secret := besides(path, textOf(table, "secret_file"))
	if secret == "" {
		return c, append(problems, errors.New("secret_file: is needed"))
	}
	if c.Secret, err = config.ReadSecret(secret, "the secret shared with the client", radius.MinSecret, maxSharedSecret); err != nil {
		problems = append(problems, fmt.Errorf("secret_file: %w", err))
	}
	if len(problems) == 0 {
		if err := c.Validate(); err != nil {
			problems = append(problems, err)
		}
	}
	return c, problems
}

// unknownKeys refuses what is misspelt: a bound that is misspelt is none.
func unknownKeys(k *koanf.Koanf, known ...string) (problems []error) {
	for _, key := range slices.Sorted(slices.Values(k.Keys())) {
		if !slices.Contains(known, key) {
			problems = append(problems, fmt.Errorf("%q: no such key; there are %v", key, known))
		}
	}
	return problems
}

// textOf gives what is a string, and nothing for what isn't.
func textOf(k *koanf.Koanf, key string) string {
	s, _ := k.Get(key).(string)
	return s
}

// besides makes a path that a file names relative to it.
func besides(file, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(file), path)
}
