package pskc

import (
	"time"

	"strongroom.internal/appliance/otp"
)

// parsePolicy reads DeviceInfo's and the key's policy. RFC 6030, Section 5: a policy that isn't understood forbids the use
// of the key, and so does one that couldn't be kept.
func parsePolicy(in *finder, device, policy *node, r *otp.Record) {
	period(in, device, r)
	period(in, policy, r)
	if policy == nil {
		return
	}
	usage, otpUse := false, false
	for _, c := range policy.children {
		switch {
		case c.foreign:
			in.fail("its policy has an element that is not known")
		case c.name == "startdate" || c.name == "expirydate":
		case c.name == "keyusage":
			usage = true
			otpUse = otpUse || c.String() == "OTP"
		case c.name == "pinpolicy":
			// The device checks it. Where the PIN becomes a part of the code, the code is no longer one of RFC 4226.
			if c.attrs["pinusagemode"] != "Local" {
				in.fail("its PIN is part of its codes")
			}
		case c.name == "numberoftransactions":
			in.fail("its policy bounds how often it may be used, which nobody would count here")
		default:
			in.fail("its policy has an element that is not known")
		}
	}
	if usage && !otpUse {
		in.fail("its policy forbids to use it for one-time passwords")
	}
}

// period narrows the record's validity by an element's StartDate and ExpiryDate.
func period(in *finder, n *node, r *otp.Record) {
	if from := date(in, n, "StartDate"); from.After(r.NotBefore) {
		r.NotBefore = from
	}
	if until := date(in, n, "ExpiryDate"); !until.IsZero() && (r.NotAfter.IsZero() || until.Before(r.NotAfter)) {
		r.NotAfter = until
	}
}

// date reads an xs:dateTime, in UTC where it names no zone.
func date(in *finder, n *node, name string) time.Time {
	text := in.text(n, name)
	if text == "" {
		return time.Time{}
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999"} {
		if at, err := time.Parse(layout, text); err == nil {
			return at.UTC()
		}
	}
	in.fail(name + " is not a date")
	return time.Time{}
}
