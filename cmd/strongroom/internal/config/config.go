// Package config is the configuration of a node: one TOML file, read once at start.
//
// Nothing secret is ever in the file, in a flag or in the environment: it names the files that hold the PINs. Unknown
// keys are refused, because a misspelt limit is a limit that isn't there. Everything that is wrong is reported at once.
package config

import (
	"time"
)

// Config is the whole file. The tag says the key; a field without a default and without "optional" in its comment is
// required.
type Config struct {
	Node    Node    `toml:"node"`
	Cluster Cluster `toml:"cluster"`
	API     API     `toml:"api"`
	Audit   Audit   `toml:"audit"`
	Module  Module  `toml:"module"`
	Log     Log     `toml:"log"`
	Limits  Limits  `toml:"limits"`
	Place   Place   `toml:"place"`

	path        string
	credentials string // $CREDENTIALS_DIRECTORY
}

// Node is who this node is and where it keeps its state.
type Node struct {
	// ID names the node in the cluster for as long as its disk lives: 1 to 63 lower-case letters, digits and inner
	// hyphens. A node whose disk was lost rejoins under a new one.
	ID string `toml:"id"`
	// DataDir is an absolute path; it holds the node's identity, Raft's log and the state. It is made when it isn't there.
	DataDir string `toml:"data_dir"`
}

// Cluster is the listener for other nodes.
type Cluster struct {
	// Listen is host:port.
	Listen string `toml:"listen"`
	// Advertise is the host:port at which other nodes reach this one. Default: Listen.
	Advertise string `toml:"advertise"`
	// Heartbeat is how long a follower waits for its leader before it seeks election. Default: 1s.
	Heartbeat time.Duration `toml:"heartbeat"`
}

// API is the listener for clients.
type API struct {
	// Listen is host:port.
	Listen string `toml:"listen"`
	// Advertise is the host:port at which clients and joining nodes reach this one. Default: Listen.
	Advertise string `toml:"advertise"`
	// MetricsListen is an optional host:port that answers /metrics, /livez and /readyz over plain HTTP and without a
	// certificate: for monitoring, which has to see a node whose module is gone. Keep it on an inner network.
	MetricsListen string `toml:"metrics_listen"`
}

// Audit is how the key-usage log is published.
type Audit struct {
	// PublicListen is an optional host:port that serves the log (its checkpoints, tiles, entries and keys, as C2SP
	// tlog-tiles has them) over plain HTTP to everybody who reaches it, without a certificate. It tells the world which
	// front-ends, operators and nodes there are, and for each key use when, by whom, for which pseudonym and with what
	// outcome. Default: none; auditors read the log from the API, with a certificate.
	PublicListen string `toml:"public_listen"`
}

// Module is the hardware that holds the keys.
type Module struct {
	// Kind is "pkcs11".
	Kind string `toml:"kind"`
	// Path is the absolute path of the PKCS#11 library.
	Path string `toml:"path"`
	// TokenLabel or Serial names the token; one of the two.
	TokenLabel string `toml:"token_label"`
	Serial     string `toml:"serial"`
	// PINFile holds the user PIN. Nobody but its owner may read it. Optional: the systemd credential "pin".
	PINFile string `toml:"pin_file"`
	// SOPINFile holds the security officer's PIN; a node that has it can admit others by token. Optional; the systemd
	// credential "so-pin" is taken when there is one.
	SOPINFile string `toml:"so_pin_file"`
	// SoftHSM2Conf becomes SOFTHSM2_CONF before the library is loaded: for virtual hardware only. Optional.
	SoftHSM2Conf string `toml:"softhsm2_conf"`
	// Sessions bounds the sessions opened with the module. Default 0: as many as the module allows, at most 16.
	Sessions int `toml:"sessions"`
	// Resident bounds the seeds that stay loaded in the module. Default 0: 4096, or as many as the module allows.
	Resident int `toml:"resident"`
}

// Log is what the node tells its operators on stderr. It never has secrets; the key-usage log is another thing.
type Log struct {
	// Level is trace, debug, info, warn or error. Default: info.
	Level string `toml:"level"`
	// Format is text or json. Default: text.
	Format string `toml:"format"`
}

// Place is where sign-ins are said to come from.
type Place struct {
	// MMDB is the absolute path of a database of addresses in MaxMind's format (GeoLite2-City and its like), read at start.
	// Optional: without it, or when it can't be read, sign-ins have no place.
	MMDB string `toml:"mmdb"`
}

// Limits bound what the node takes on.
type Limits struct {
	// RequestsInFlight bounds the API requests that are worked on together; more are answered 503. Default: 1024.
	RequestsInFlight int `toml:"requests_in_flight"`
	// CacheMiB is the memory for blocks of the state. Default: 64.
	CacheMiB int `toml:"cache_mib"`
	// MinFreeMiB is the free disk space below which the node does not start. Default: 256.
	MinFreeMiB int `toml:"min_free_mib"`
}

// Defaults is a configuration with every default and nothing else.
func Defaults() Config {
	return Config{
		Cluster: Cluster{Heartbeat: time.Second},
		Module:  Module{Kind: "pkcs11"},
		Log:     Log{Level: "info", Format: "text"},
		Limits:  Limits{RequestsInFlight: 1024, CacheMiB: 64, MinFreeMiB: 256},
	}
}

// Path is the file that the configuration was read from.
func (c *Config) Path() string { return c.path }

// ClusterAddress is what other nodes dial.
func (c *Config) ClusterAddress() string { return or(c.Cluster.Advertise, c.Cluster.Listen) }

// APIAddress is what clients dial.
func (c *Config) APIAddress() string { return or(c.API.Advertise, c.API.Listen) }

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
