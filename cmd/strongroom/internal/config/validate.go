package config

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

var nodeID = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// Validate checks the values, without looking at the disk, and reports everything that is wrong, joined.
func (c *Config) Validate() error {
	var p problems
	p.require("node.id", c.Node.ID)
	if c.Node.ID != "" && !nodeID.MatchString(c.Node.ID) {
		p.add("node.id: %q is none: 1 to 63 lower-case letters, digits and inner hyphens", c.Node.ID)
	}
	p.require("node.data_dir", c.Node.DataDir)
	p.absolute("node.data_dir", c.Node.DataDir)
	p.listener("cluster", c.Cluster.Listen, c.Cluster.Advertise)
	p.listener("api", c.API.Listen, c.API.Advertise)
	listeners := [][2]string{
		{"cluster.listen", c.Cluster.Listen},
		{"api.listen", c.API.Listen},
		{"api.metrics_listen", c.API.MetricsListen},
		{"audit.public_listen", c.Audit.PublicListen},
	}
	for _, l := range listeners[2:] {
		if l[1] != "" {
			p.address(l[0], l[1])
		}
	}
	for i, l := range listeners {
		for _, other := range listeners[:i] {
			if l[1] != "" && l[1] == other[1] {
				p.add("%s: the same as %s; each listener needs an address of its own", l[0], other[0])
			}
		}
	}
	if c.Cluster.Heartbeat < 20*time.Millisecond || c.Cluster.Heartbeat > time.Minute {
		p.add("cluster.heartbeat: %v is not between 20ms and 1m", c.Cluster.Heartbeat)
	}
	c.Module.validate(&p, c.credentials != "")
	p.oneOf("log.level", c.Log.Level, "trace", "debug", "info", "warn", "error")
	p.oneOf("log.format", c.Log.Format, "text", "json")
	p.between("limits.requests_in_flight", c.Limits.RequestsInFlight, 1, 1<<20)
	p.between("limits.cache_mib", c.Limits.CacheMiB, 1, 1<<20)
	p.between("limits.min_free_mib", c.Limits.MinFreeMiB, 1, 1<<20)
	p.absolute("place.mmdb", c.Place.MMDB)
	return errors.Join(p...)
}

func (m *Module) validate(p *problems, credentials bool) {
	p.oneOf("module.kind", m.Kind, "pkcs11")
	p.require("module.path", m.Path)
	p.absolute("module.path", m.Path)
	switch {
	case m.TokenLabel == "" && m.Serial == "":
		p.add("module.token_label: it or module.serial is needed to find the token")
	case m.TokenLabel != "" && m.Serial != "":
		p.add("module.serial: give it or module.token_label, not both")
	}
	if len(m.TokenLabel) > 32 {
		p.add("module.token_label: longer than the 32 bytes of a PKCS#11 label")
	}
	if len(m.Serial) > 16 {
		p.add("module.serial: longer than the 16 bytes of a PKCS#11 serial number")
	}
	if m.PINFile == "" && !credentials {
		p.add("module.pin_file: is needed, or a systemd credential named pin (LoadCredentialEncrypted=pin:…)")
	}
	p.absolute("module.pin_file", m.PINFile)
	p.absolute("module.so_pin_file", m.SOPINFile)
	p.absolute("module.softhsm2_conf", m.SoftHSM2Conf)
	p.between("module.sessions", m.Sessions, 0, 4096)
	p.between("module.resident", m.Resident, 0, 1<<24)
}

// problems gathers what is wrong.
type problems []error

func (p *problems) add(format string, args ...any) { *p = append(*p, fmt.Errorf(format, args...)) }

func (p *problems) require(key, value string) {
	if value == "" {
		p.add("%s: is needed", key)
	}
}

func (p *problems) absolute(key, value string) {
	if value != "" && !filepath.IsAbs(value) {
		p.add("%s: %q is not an absolute path", key, value)
	}
}

func (p *problems) between(key string, value, least, most int) {
	if value < least || value > most {
		p.add("%s: %d is not between %d and %d", key, value, least, most)
	}
}

func (p *problems) oneOf(key, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		p.add("%s: %q is none of %s", key, value, strings.Join(allowed, ", "))
	}
}

func (p *problems) address(key, value string) {
	_, port, err := net.SplitHostPort(value)
	if err != nil {
		p.add("%s: %q is not host:port", key, value)
		return
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		p.add("%s: port %q is not between 1 and 65535", key, port)
	}
}

// listener checks a listener and what others dial, which must be an address that they can dial.
func (p *problems) listener(section, listen, advertise string) {
	p.require(section+".listen", listen)
	if listen != "" {
		p.address(section+".listen", listen)
	}
	key, dialled := section+".advertise", advertise
	if advertise != "" {
		p.address(key, advertise)
	} else {
		dialled = listen
	}
	host, _, err := net.SplitHostPort(dialled)
	if ip := net.ParseIP(host); err == nil && (host == "" || ip != nil && ip.IsUnspecified()) {
		p.add("%s: is needed, because nobody can dial %q: a host name or an address that others reach", key, dialled)
	}
}
