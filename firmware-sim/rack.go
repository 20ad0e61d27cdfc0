// Package firmwaresim is a rack of virtual appliances: what one does to real boxes, done to processes.
//
// A [Chassis] is a directory with everything that a box has: a SoftHSM token of its own, the PINs, the configuration,
// the disk and the log of one node, and addresses that it keeps. It is powered on and off, killed, paused, and its token
// is pulled and put back. A [Rack] is several chassis, and the credentials of the clients that talk to their cluster.
//
// The rack runs the real strongroom binary and talks to it as people do: through its command line and its API. Children
// end with the process that started them, however it ends. Waiting is polling with a deadline; an error of a node
// carries the end of that node's log.
//
// This is for tests and for trying things out. Virtual hardware protects nothing: the PINs lie next to the tokens.
package firmwaresim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
)

// Config is what a rack is made of.
type Config struct {
	// Dir is the rack's directory. Required.
	Dir string
	// Binary is the strongroom program. Required; see Build.
	Binary string
	// Nodes is the number of chassis of a new rack. Default: 3.
	Nodes int
	// TrustDomain is the SPIFFE trust domain of a new rack's cluster. Default: strongroom.test.
	TrustDomain string
	// Progress hears a line on each step that takes a while. Default: nobody.
	Progress io.Writer
}

// Validate reports everything that is wrong.
func (c Config) Validate() error {
	var errs []error
	if c.Dir == "" {
		errs = append(errs, errors.New("dir: is required"))
	}
	if info, err := os.Stat(c.Binary); c.Binary == "" {
		errs = append(errs, errors.New("binary: is required"))
	} else if err != nil {
		errs = append(errs, fmt.Errorf("binary: %w", err))
	} else if info.IsDir() || info.Mode()&0o111 == 0 {
		errs = append(errs, fmt.Errorf("binary: %s is not a program", c.Binary))
	}
	if c.Nodes < 0 || c.Nodes > maxNodes {
		errs = append(errs, fmt.Errorf("nodes: must be 1 to %d", maxNodes))
	}
	return errors.Join(errs...)
}

const (
	maxNodes      = 9
	defaultNodes  = 3
	defaultDomain = "strongroom.test"
)

// PlacesFile is where all nodes look for a database of places (MMDB) when they are powered on. None is there unless
// somebody puts one: sign-ins have no place then.
func (r *Rack) PlacesFile() string { return filepath.Join(r.dir, "places.mmdb") }

// Names in a rack's directory.
const (
	rackFile       = "rack.json"
	credentialsDir = "credentials"
)

// Rack is several chassis and their cluster. Its methods may be called concurrently; two operations on one chassis wait
// for each other.
type Rack struct {
	// Chassis are the boxes, in the order of their numbers.
	Chassis []*Chassis

	dir         string
	binary      string
	trustDomain string

	ids      sync.Mutex // guards the id of each chassis and the record
	mu       sync.Mutex // guards progress
	progress io.Writer
}

// rackRecord is rackFile: what has to be the same the next time.
type rackRecord struct {
	Format      int             `json:"format"`
	TrustDomain string          `json:"trust_domain"`
	Chassis     []chassisRecord `json:"chassis"`
}

// Create makes a rack of new chassis, each with an initialised, empty token. It refuses a directory that has one.
func Create(ctx context.Context, c Config) (*Rack, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("creating a rack: %w", err)
	}
	if c.Nodes == 0 {
		c.Nodes = defaultNodes
	}
	if c.TrustDomain == "" {
		c.TrustDomain = defaultDomain
	}
	r, err := newRack(c)
	if err != nil {
		return nil, fmt.Errorf("creating a rack: %w", err)
	}
	if _, err := os.Stat(r.path(rackFile)); err == nil {
		return nil, fmt.Errorf("creating a rack: %s has one", c.Dir)
	}
	r.trustDomain = c.TrustDomain
	ports, err := choosePorts(c.Nodes * portsOfChassis)
	if err != nil {
		return nil, fmt.Errorf("creating a rack: %w", err)
	}
	for i := range c.Nodes {
		slot := fmt.Sprintf("n%d", i+1)
		r.Chassis = append(r.Chassis, newChassis(r, chassisRecord{
			Slot: slot, ID: slot, Ports: ports[i*portsOfChassis : (i+1)*portsOfChassis],
		}))
	}
	for _, c := range r.Chassis {
		r.say("building chassis %s", c.slot)
		if err := c.build(ctx); err != nil {
			return nil, fmt.Errorf("creating a rack: %w", err)
		}
	}
	// The record goes last: without it there is no rack, and building starts over.
	if err := r.keep(); err != nil {
		return nil, fmt.Errorf("creating a rack: %w", err)
	}
	return r, nil
}

// Open finds a rack again. All its chassis are off. It answers fs.ErrNotExist when there is none.
func Open(c Config) (*Rack, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("opening a rack: %w", err)
	}
	r, err := newRack(c)
	if err != nil {
		return nil, fmt.Errorf("opening a rack: %w", err)
	}
	raw, err := os.ReadFile(r.path(rackFile))
	if err != nil {
		return nil, fmt.Errorf("opening a rack: %w", err)
	}
	var record rackRecord
	if err := json.Unmarshal(raw, &record); err != nil {
		return nil, fmt.Errorf("opening a rack: reading %s: %w", rackFile, err)
	}
	if record.Format != 1 {
		return nil, fmt.Errorf("opening a rack: %s has format %d, which is not known", rackFile, record.Format)
	}
	r.trustDomain = record.TrustDomain
	former := 0
	for _, chassis := range record.Chassis {
		switch len(chassis.Ports) {
		case portsOfFormerChassis:
			former++
		case portsOfChassis:
		default:
			return nil, fmt.Errorf("opening a rack: %s: %s has %d ports", rackFile, chassis.Slot, len(chassis.Ports))
		}
		r.Chassis = append(r.Chassis, newChassis(r, chassis))
	}
	if former > 0 {
		if err := r.addPorts(former); err != nil {
			return nil, fmt.Errorf("opening a rack: giving it ports for the public log: %w", err)
		}
	}
	return r, nil
}

// addPorts gives the chassis of a rack that was made before the log was public a port for it. An interrupted one is
// begun again: the record goes last.
func (r *Rack) addPorts(n int) error {
	ports, err := choosePorts(n)
	if err != nil {
		return err
	}
	for _, c := range r.Chassis {
		if len(c.ports) != portsOfFormerChassis {
			continue
		}
		c.ports, ports = append(c.ports, ports[0]), ports[1:]
		if err := c.writeConfig(); err != nil {
			return err
		}
	}
	return r.keep()
}

// OpenOrCreate opens the rack of c.Dir, and creates it when there is none.
func OpenOrCreate(ctx context.Context, c Config) (*Rack, error) {
	r, err := Open(c)
	if errors.Is(err, fs.ErrNotExist) {
		return Create(ctx, c)
	}
	return r, err
}

func newRack(c Config) (*Rack, error) {
	r := &Rack{progress: c.Progress}
	var err error
	if r.dir, err = filepath.Abs(c.Dir); err != nil {
		return nil, err
	}
	if r.binary, err = filepath.Abs(c.Binary); err != nil {
		return nil, err
	}
	return r, os.MkdirAll(r.dir, 0o700)
}

// keep writes the record.
func (r *Rack) keep() error {
	r.ids.Lock()
	defer r.ids.Unlock()
	record := rackRecord{Format: 1, TrustDomain: r.trustDomain}
	for _, c := range r.Chassis {
		record.Chassis = append(record.Chassis, chassisRecord{Slot: c.slot, ID: c.id, Ports: c.ports})
	}
	raw, err := json.MarshalIndent(record, "", "\t")
	if err != nil {
		return fmt.Errorf("encoding %s: %w", rackFile, err)
	}
	next := r.path(rackFile + ".next")
	if err := os.WriteFile(next, append(raw, '\n'), 0o600); err != nil {
		return fmt.Errorf("writing %s: %w", rackFile, err)
	}
	return os.Rename(next, r.path(rackFile))
}

// Dir is the rack's directory, absolute.
func (r *Rack) Dir() string { return r.dir }

// TrustDomain is the trust domain of the rack's cluster.
func (r *Rack) TrustDomain() string { return r.trustDomain }

func (r *Rack) path(elements ...string) string {
	return filepath.Join(append([]string{r.dir}, elements...)...)
}

// say tells of progress.
func (r *Rack) say(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.progress != nil {
		fmt.Fprintf(r.progress, format+"\n", args...)
	}
}

// Close powers everything off in order and kills what does not go.
func (r *Rack) Close() error {
	errs := make([]error, len(r.Chassis))
	var wg sync.WaitGroup
	for i, c := range r.Chassis {
		wg.Go(func() {
			if errs[i] = c.PowerOff(); errs[i] != nil {
				errs[i] = errors.Join(errs[i], c.Kill())
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Find finds a chassis by its number, its slot or its node's id.
func (r *Rack) Find(name string) (*Chassis, error) {
	for i, c := range r.Chassis {
		if name == strconv.Itoa(i+1) || name == c.slot || name == c.ID() {
			return c, nil
		}
	}
	return nil, fmt.Errorf("there is no chassis %q", name)
}
