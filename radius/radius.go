// Package radius lets VPN gateways and older clients ask the cluster about app passwords: a RADIUS server (RFC 2865, UDP,
// PAP) that is a client of the cluster, with a front-end's certificate.
//
// User-Name is the account and User-Password the app password. What goes along is the service that the asking client is
// configured for and, when Calling-Station-Id is an IP address, that. An accepted password is an Access-Accept. Whatever
// else the cluster decides is an Access-Reject in which nothing says why. While the cluster can't be asked there is no
// answer, so that the client tries another server.
//
// RADIUS rests on MD5. Against its forgery (Blast-RADIUS, CVE-2024-3596) Message-Authenticator (RFC 3579, Section 3.2),
// an HMAC, is required in each request and comes first in each answer. It does not make RADIUS fit for the open network:
// who sees a packet can guess at a weak shared secret, and with it reads the password.
package radius

import (
	"errors"
	"fmt"
	"net/netip"

	"strongroom.internal/hsm"
)

// MinSecret is the shortest shared secret in bytes (RFC 2865, Section 3).
const MinSecret = 16

// Client is who may ask: the gateways of a network.
type Client struct {
	Network netip.Prefix // whose bits behind the mask are zero
	Secret  *hsm.Secret  // shared with them, at least MinSecret bytes
	Service string       // of the app passwords that they ask about
}

// Validate reports everything that is wrong. It never quotes the secret.
func (c Client) Validate() error {
	var errs []error
	switch {
	case !c.Network.IsValid():
		errs = append(errs, errors.New("network: is needed"))
	case c.Network != c.Network.Masked():
		errs = append(errs, fmt.Errorf("network: %v has bits behind its mask; %v?", c.Network, c.Network.Masked()))
	case c.Network.Addr().Is4In6():
		errs = append(errs, fmt.Errorf("network: write %v as one of IPv4", c.Network))
	}
	if len(c.Secret.Reveal()) < MinSecret {
		errs = append(errs, fmt.Errorf("secret: is shorter than %d bytes", MinSecret))
	}
	if c.Service == "" {
		errs = append(errs, errors.New("service: is needed"))
	}
	return errors.Join(errs...)
}

// clients finds who asks.
type clients []Client

func (l clients) validate() error {
	if len(l) == 0 {
		return errors.New("clients: at least one is needed")
	}
	var errs []error
	seen := make(map[netip.Prefix]bool)
	for i, c := range l {
		if err := c.Validate(); err != nil {
			errs = append(errs, fmt.Errorf("client %d: %w", i+1, err))
		} else if seen[c.Network] {
			errs = append(errs, fmt.Errorf("client %d: network: %v is another client's as well", i+1, c.Network))
		}
		seen[c.Network] = true
	}
	return errors.Join(errs...)
}

// find gives the client whose network is the narrowest around the address.
func (l clients) find(source netip.Addr) (found Client, ok bool) {
	source = source.Unmap().WithZone("")
	for _, c := range l {
		if c.Network.Contains(source) && (!ok || c.Network.Bits() > found.Network.Bits()) {
			found, ok = c, true
		}
	}
	return found, ok
}
