package firmwaresim

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// Chassis is one virtual appliance.
type Chassis struct {
	rack  *Rack
	slot  string // its place in the rack and its directory; never changes
	ports []int  // cluster, API, monitoring, public log

	id string // guarded by rack.ids

	mu      sync.Mutex // guards running and env; held for the length of an operation
	running *process   // nil: off
	env     []string
}

// portsOfChassis is the number of a chassis's listeners; those of racks that were made before the log was public had one
// less.
const (
	portsOfChassis       = 4
	portsOfFormerChassis = 3
)

type chassisRecord struct {
	Slot  string `json:"slot"`
	ID    string `json:"id"`
	Ports []int  `json:"ports"`
}

// Names in a chassis's directory.
const (
	configFile   = "strongroom.toml"
	softhsmFile  = "softhsm2.conf"
	pinFile      = "pin"
	soPINFile    = "so-pin"
	logFile      = "log"
	dataDir      = "data"
	tokenDir     = "token"
	pulledDir    = "token-pulled"
	softhsmPath  = "/usr/lib/softhsm/libsofthsm2.so"
	identityFile = "identity.json" // in dataDir, written by strongroom
)

func newChassis(r *Rack, record chassisRecord) *Chassis {
	return &Chassis{rack: r, slot: record.Slot, id: record.ID, ports: record.Ports}
}

// build makes the directory of a chassis as new, with an initialised token. What an interrupted build left is removed.
func (c *Chassis) build(ctx context.Context) error {
	if err := os.RemoveAll(c.Dir()); err != nil {
		return fmt.Errorf("building chassis %s: %w", c.slot, err)
	}
	if err := os.MkdirAll(c.Dir(), 0o700); err != nil {
		return fmt.Errorf("building chassis %s: %w", c.slot, err)
	}
	for _, name := range []string{pinFile, soPINFile} {
		if err := os.WriteFile(c.path(name), []byte(rand.Text()+"\n"), 0o600); err != nil {
			return fmt.Errorf("building chassis %s: %w", c.slot, err)
		}
	}
	if err := c.writeConfig(); err != nil {
		return fmt.Errorf("building chassis %s: %w", c.slot, err)
	}
	if err := c.initToken(ctx); err != nil {
		return fmt.Errorf("building chassis %s: %w", c.slot, err)
	}
	return nil
}

// writeConfig writes the configuration of the node. Every chassis has the security officer's PIN, so that any node can
// let another in when the one that did it before is gone.
func (c *Chassis) writeConfig() error {
	quote := func(s string) string {
		quoted, _ := json.Marshal(s) // a JSON string is a TOML string
		return string(quoted)
	}
	var b strings.Builder
	for _, line := range [][2]string{
		{"[node]"},
		{"id", c.ID()},
		{"data_dir", c.DataDir()},
		{"[cluster]"},
		{"listen", c.ClusterAddr()},
		{"[api]"},
		{"listen", c.APIAddr()},
		{"metrics_listen", c.MetricsAddr()},
		{"[audit]"},
		{"public_listen", loopback(c.ports[3])},
		{"[module]"},
		{"kind", "pkcs11"},
		{"path", softhsmPath},
		{"token_label", c.TokenLabel()},
		{"pin_file", c.PINFile()},
		{"so_pin_file", c.SOPINFile()},
		{"softhsm2_conf", c.SoftHSMConf()},
		{"[place]"},
		{"mmdb", c.rack.PlacesFile()},
	} {
		if line[1] == "" {
			b.WriteString(line[0] + "\n")
			continue
		}
		b.WriteString(line[0] + " = " + quote(line[1]) + "\n")
	}
	if err := os.WriteFile(c.ConfigFile(), []byte(b.String()), 0o600); err != nil {
		return fmt.Errorf("writing the configuration: %w", err)
	}
	return nil
}

// ID is the node's id. It changes when the chassis is replaced.
func (c *Chassis) ID() string {
	c.rack.ids.Lock()
	defer c.rack.ids.Unlock()
	return c.id
}

// SetEnv is what the node's environment has besides ours, as name=value, from its next PowerOn on.
func (c *Chassis) SetEnv(env ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.env = env
}

// Dir is the directory of the chassis, absolute.
func (c *Chassis) Dir() string { return filepath.Join(c.rack.dir, c.slot) }

func (c *Chassis) path(name string) string { return filepath.Join(c.Dir(), name) }

// ConfigFile is the node's configuration.
func (c *Chassis) ConfigFile() string { return c.path(configFile) }

// DataDir is the node's disk.
func (c *Chassis) DataDir() string { return c.path(dataDir) }

// LogFile is what the node said, over all its lives.
func (c *Chassis) LogFile() string { return c.path(logFile) }

// PINFile holds the user PIN of the token, and SOPINFile the security officer's.
func (c *Chassis) PINFile() string { return c.path(pinFile) }

// SOPINFile holds the security officer's PIN of the token.
func (c *Chassis) SOPINFile() string { return c.path(soPINFile) }

// SoftHSMConf is what SOFTHSM2_CONF has to be for other programs to see the token.
func (c *Chassis) SoftHSMConf() string { return c.path(softhsmFile) }

// TokenLabel is the label of the token.
func (c *Chassis) TokenLabel() string { return "strongroom-" + c.slot }

// ClusterAddr is where other nodes reach this one, host:port.
func (c *Chassis) ClusterAddr() string { return loopback(c.ports[0]) }

// APIAddr is where clients reach it.
func (c *Chassis) APIAddr() string { return loopback(c.ports[1]) }

// MetricsAddr is where monitoring reaches it: /livez, /readyz and /metrics over plain HTTP.
func (c *Chassis) MetricsAddr() string { return loopback(c.ports[2]) }

// LogURL is where everybody reads the node's key-usage log: the tree of a name is at LogURL/<name>, as C2SP tlog-tiles has
// it.
func (c *Chassis) LogURL() string { return "http://" + loopback(c.ports[3]) + "/log" }

// Initialised says whether the node is in a cluster.
func (c *Chassis) Initialised() bool {
	_, err := os.Stat(filepath.Join(c.DataDir(), identityFile))
	return err == nil
}
