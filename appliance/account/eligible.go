package account

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// EnrolmentPolicy is what a tenant's policy says of protection and of who and what is eligible for it. Its zero value
// protects nobody unasked, leaves the way back open, and takes every platform and class.
type EnrolmentPolicy struct {
	BornProtected bool `cbor:"27,keyasint,omitempty" json:"born_protected,omitempty"`
	// NoWayBack says that protection can't be turned off again, not even in the first two weeks.
	NoWayBack bool `cbor:"28,keyasint,omitempty" json:"no_way_back,omitempty"`
	// Platforms are the systems of devices that are known, with their minimum versions.
	Platforms []Platform `cbor:"29,keyasint,omitempty" json:"platforms,omitempty"`
	// ListedOnly says that devices of other platforms are not eligible.
	ListedOnly bool `cbor:"30,keyasint,omitempty" json:"listed_only,omitempty"`
	// Excluded are classes of accounts that can't turn protection on.
	Excluded []string `cbor:"31,keyasint,omitempty" json:"excluded_classes,omitempty"`
}

// Platform is a kind of system.
type Platform struct {
	Name    string `cbor:"1,keyasint" json:"name"`                        // as devices give it; case doesn't matter
	Minimum string `cbor:"2,keyasint,omitempty" json:"minimum,omitempty"` // the first version that is eligible; empty: all are
	NoCodes bool   `cbor:"3,keyasint,omitempty" json:"no_codes,omitempty"`
}

func (p EnrolmentPolicy) validate() error {
	var errs []error
	if len(p.Platforms) > MaxPlatforms {
		errs = append(errs, fmt.Errorf("platforms: must be at most %d", MaxPlatforms))
	}
	for i, x := range p.Platforms {
		v := &validation{}
		v.text(fmt.Sprintf("platforms[%d].name", i), x.Name, 1, MaxPlatform)
		errs = append(errs, v.errs...)
		if _, ok := parseVersion(x.Minimum); x.Minimum != "" && (!ok || len(x.Minimum) > MaxVersion) {
			errs = append(errs, fmt.Errorf("platforms[%d].minimum: must be numbers with dots between them, at most %d bytes", i, MaxVersion))
		}
		if slices.ContainsFunc(p.Platforms[:i], func(y Platform) bool { return strings.EqualFold(x.Name, y.Name) }) {
			errs = append(errs, fmt.Errorf("platforms[%d].name: is there twice", i))
		}
	}
	if len(p.Excluded) > MaxClasses {
		errs = append(errs, fmt.Errorf("excluded_classes: must be at most %d", MaxClasses))
	}
	for i, class := range p.Excluded {
		if class == "" || !validClass(class) {
			errs = append(errs, fmt.Errorf("excluded_classes[%d]: must be of lower-case letters, digits and hyphens", i))
		}
	}
	return errors.Join(errs...)
}

// validClass takes a class's name, or nothing.
func validClass(s string) bool {
	return len(s) <= MaxClass && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-'
	})
}

// Why a device or an account isn't eligible. They are on the wire: never change one.
const (
	ReasonPlatform = "platform-not-listed"
	ReasonVersion  = "version-below-minimum"
	ReasonUnclear  = "version-not-readable" // where there is a minimum
	ReasonClass    = "class-excluded"
	ReasonDevice   = "no-eligible-device"
	ReasonOn       = "already-on"
	ReasonTwoStep  = "two-step-on" // turn it off, or move
)

func (p EnrolmentPolicy) platform(name string) (Platform, bool) {
	name = strings.TrimSpace(name)
	for _, x := range p.Platforms {
		if strings.EqualFold(x.Name, name) {
			return x, true
		}
	}
	return Platform{}, false
}

// Judge says why a system isn't eligible, empty if it is; whether it may show codes; and what the minimum of its platform
// is.
func (p EnrolmentPolicy) Judge(platform, version string) (reason string, codes bool, minimum string) {
	x, listed := p.platform(platform)
	switch {
	case !listed && p.ListedOnly:
		return ReasonPlatform, false, ""
	case !listed || x.Minimum == "":
		return "", !x.NoCodes, ""
	}
	have, ok := parseVersion(version)
	if !ok {
		return ReasonUnclear, false, x.Minimum
	}
	if least, _ := parseVersion(x.Minimum); compareVersions(have, least) < 0 {
		return ReasonVersion, false, x.Minimum
	}
	return "", !x.NoCodes, x.Minimum
}

// Eligible says whether protection may be turned on on such a system.
func (p EnrolmentPolicy) Eligible(platform, version string) bool {
	reason, _, _ := p.Judge(platform, version)
	return reason == ""
}

// ShowsCodes says whether a device is given codes and notices. One that isn't can be listed all the same.
func (p EnrolmentPolicy) ShowsCodes(k *Credential) bool {
	if k.Kind != Device || len(p.Platforms) == 0 && !p.ListedOnly {
		return true
	}
	_, codes, _ := p.Judge(k.Platform, k.SystemVersion)
	return codes
}

func (p EnrolmentPolicy) excludes(class string) bool {
	return class != "" && slices.Contains(p.Excluded, class)
}

// AccountReasons are why an account isn't eligible for protection as far as its class and mode go.
func (p EnrolmentPolicy) AccountReasons(s *State) (reasons []string) {
	if p.excludes(s.Enrolment.Class) {
		reasons = append(reasons, ReasonClass)
	}
	if s.Enrolment.Mode == TwoFactor {
		reasons = append(reasons, ReasonOn)
	}
	if s.Enrolment.Mode == TwoStep {
		reasons = append(reasons, ReasonTwoStep)
	}
	return reasons
}

// heard takes those devices out that get no notices. The first state that knows a device is asked.
func (p EnrolmentPolicy) heard(ids []string, states ...*State) []string {
	if len(p.Platforms) == 0 && !p.ListedOnly {
		return ids
	}
	return slices.DeleteFunc(slices.Clone(ids), func(id string) bool {
		for _, s := range states {
			if k := s.Find(id); k != nil {
				return !p.ShowsCodes(k)
			}
		}
		return true
	})
}

// parseVersion reads numbers with dots between them, up to a first space: "10.11.6", "15.1 (24B83)". Numbers come without
// leading zeros, so that they compare by length and then by text, however long they are.
func parseVersion(s string) (parts []string, ok bool) {
	s, _, _ = strings.Cut(strings.TrimSpace(s), " ")
	for part := range strings.SplitSeq(s, ".") {
		if part == "" || strings.ContainsFunc(part, func(r rune) bool { return r < '0' || r > '9' }) {
			return nil, false
		}
		parts = append(parts, strings.TrimLeft(part, "0"))
	}
	return parts, true
}

// compareVersions compares number by number; what is missing is 0: 9 and 9.0 are equal.
func compareVersions(a, b []string) int {
	for i := range max(len(a), len(b)) {
		var x, y string
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		if len(x) != len(y) {
			return len(x) - len(y)
		}
		if c := strings.Compare(x, y); c != 0 {
			return c
		}
	}
	return 0
}
