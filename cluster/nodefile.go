package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// What stands between a lost disk and a node that votes twice in a term, or a cluster that starts again from nothing:
// a node knows from its own file who it is and how far it had come.
const (
	nodeFile = "node.json"
	logDir   = "log"
	stateDir = "state"

	logFilesDir = "key-usage-log"
	logIndexDir = "key-usage-log-index"
)

// phase is how far a node has come.
type phase string

const (
	creating phase = "creating" // a new cluster; nothing has been promised to anyone
	joining  phase = "joining"  // waits to be added by a cluster
	member   phase = "member"   // has had a configuration: its log and its vote are owed to others
)

// identity is the content of the node's file.
type identity struct {
	Format      int    `json:"format"`
	NodeID      string `json:"node_id"`
	TrustDomain string `json:"trust_domain"`
	Phase       phase  `json:"phase"`
}

// Errors of Create, Open and OpenJoining.
var (
	// ErrExists: the data directory already has a node.
	ErrExists = errors.New("there is a node already")
	// ErrNoNode: the data directory has no node, or not all of one.
	ErrNoNode = errors.New("there is no node")
)

// readIdentity returns nil when there is no file.
func readIdentity(dir string) (*identity, error) {
	path := filepath.Join(dir, nodeFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var id identity
	if err := json.Unmarshal(b, &id); err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	if id.Format != 1 {
		return nil, fmt.Errorf("reading %s: format %d is not known", path, id.Format)
	}
	return &id, nil
}

func (id *identity) write(dir string) error {
	b, err := json.MarshalIndent(id, "", "\t")
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, nodeFile), append(b, '\n'))
}

// prepareNew makes the data directory of a new node, up to and with its file. What an interrupted Create left is
// removed: until it succeeds, nobody has been promised anything.
func prepareNew(cfg *Config, p phase) (*identity, error) {
	id, err := readIdentity(cfg.DataDir)
	if err != nil {
		return nil, err
	}
	if id != nil && id.Phase != creating {
		return nil, fmt.Errorf("%s: %w: %s", cfg.DataDir, ErrExists, id.NodeID)
	}
	if id == nil {
		found, err := os.ReadDir(cfg.DataDir)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		if len(found) > 0 {
			return nil, fmt.Errorf("%s: %w, or something else: it holds %s", cfg.DataDir, ErrExists, found[0].Name())
		}
	}
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return nil, err
	}
	id = &identity{1, cfg.NodeID, cfg.TrustDomain, p}
	if err := id.write(cfg.DataDir); err != nil {
		return nil, err
	}
	for _, d := range []string{logDir, stateDir} {
		d = filepath.Join(cfg.DataDir, d)
		if err := os.RemoveAll(d); err != nil {
			return nil, err
		}
		if err := os.Mkdir(d, 0o700); err != nil {
			return nil, err
		}
	}
	return id, syncDir(cfg.DataDir)
}

// findExisting checks that the data directory has the node that the configuration means.
func findExisting(cfg *Config) (*identity, error) {
	id, err := readIdentity(cfg.DataDir)
	if err != nil {
		return nil, err
	}
	if id == nil || id.Phase == creating {
		return nil, fmt.Errorf("%s: %w", cfg.DataDir, ErrNoNode)
	}
	if id.NodeID != cfg.NodeID || id.TrustDomain != cfg.TrustDomain {
		return nil, fmt.Errorf("%s: it is of node %q of %q, not of %q of %q", cfg.DataDir, id.NodeID, id.TrustDomain,
			cfg.NodeID, cfg.TrustDomain)
	}
	for _, d := range []string{logDir, stateDir} {
		if _, err := os.Stat(filepath.Join(cfg.DataDir, d)); err != nil {
			return nil, fmt.Errorf("%s: %w: %v", cfg.DataDir, ErrNoNode, err)
		}
	}
	return id, nil
}

// probeDisk writes and syncs a file before the node takes part: one with a bad disk must not win elections.
func probeDisk(cfg *Config) error {
	if free, err := freeBytes(cfg.DataDir); err != nil {
		return err
	} else if free < cfg.MinFreeBytes {
		return fmt.Errorf("%s has %d MiB free, %d MiB are needed", cfg.DataDir, free>>20, cfg.MinFreeBytes>>20)
	}
	done := make(chan error, 1)
	go func() { done <- writeFile(filepath.Join(cfg.DataDir, "probe"), make([]byte, 4096)) }()
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("trying the disk: %w", err)
		}
		return nil
	case <-time.After(cfg.StoreDeadline):
		return fmt.Errorf("trying the disk: it did not answer in %v", cfg.StoreDeadline)
	}
}

func freeBytes(dir string) (uint64, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, fmt.Errorf("asking for the free space of %s: %w", dir, err)
	}
	return s.Bavail * uint64(s.Bsize), nil
}
