// Package otp is the arithmetic of RFC 4226 (HOTP) and RFC 6238 (TOTP), and their otpauth URIs. It computes no MAC: a
// module does that.
package otp

// Step is the moving factor: the time counter T of RFC 6238, Section 4.2, or the counter C of RFC 4226.
type Step int64
