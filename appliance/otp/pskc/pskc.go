// Package pskc reads PSKC, the Portable Symmetric Key Container of RFC 6030: the XML in which makers ship the seeds of
// hardware tokens, and in which other systems export them.
//
//	KeyContainer Version
//	  EncryptionKey          ds:KeyName (Section 6.1) or xenc11:DerivedKey (Section 6.2)
//	  MACMethod Algorithm    Section 6.1.1
//	    MACKey                 encrypted under the same key
//	  KeyPackage ...         one token each, Section 8
//	    DeviceInfo             Manufacturer, SerialNo, UserId, StartDate, ExpiryDate
//	    Key Id Algorithm
//	      Issuer, UserId
//	      AlgorithmParameters    Suite, ResponseFormat Length Encoding CheckDigit
//	      Data                   Secret, Counter, Time, TimeInterval, TimeDrift
//	        PlainValue | EncryptedValue, ValueMAC
//	      Policy                 StartDate, ExpiryDate, KeyUsage, PINPolicy, NumberOfTransactions
//
// What is read: the algorithm profiles hotp (Section 10.1) and totp (draft-hoyer-keyprov-pskc-algorithm-profiles, in the
// IANA registry), SHA-1, SHA-256 and SHA-512 by Suite; plain values, and values under AES in CBC mode or AES key wrap
// (RFC 3394, and RFC 5649 with padding) of 128, 192 and 256 bits, under a key that both sides have or that PBKDF2 makes of
// a password. A value in CBC mode must have a right ValueMAC, HMAC with SHA-1, SHA-256, SHA-384 or SHA-512 over
// initialization vector and ciphertext, and it is checked before anything is decrypted.
//
// What is refused: a document type declaration and with it every entity but XML's own five; keys to a certificate (Section
// 6.3), keys that are only named (Section 4.4) and anything else outside of the file; unknown algorithms; and, because a
// reader that doesn't understand a policy must not use the key (Section 5), every policy but the ones above. A signature
// (Section 7) is not checked; [Info] says that there is one.
//
// privacyIDEA exports PSKC through an HTML parser, which makes the names of elements and attributes lower-case
// (privacyidea/lib/importotp.py, export_pskc, version 3; the key is printed in hexadecimal on stderr). Names are therefore
// matched without regard to case. It writes the hash as an attribute of Suite, hashalgo, and for HOTP a TimeInterval of 0.
// LinOTP doesn't export seeds; what its import (linotp/lib/ImportOTP/PSKC.py) takes of RFC 6030 is taken here. Files in the
// namespaces of the drafts before the RFC, which LinOTP takes as "feitian", are refused.
package pskc

import (
	"errors"
	"fmt"
	"io"
	"iter"

	"strongroom.internal/appliance/otp"
)

// Bounds on what is read of a file.
const (
	// MaxKeys is the most tokens of one file: ten times the largest batch that makers ship.
	MaxKeys = 100_000
	// MaxIterations bounds the work that a file can ask for: some ten seconds of PBKDF2.
	MaxIterations = 10_000_000

	// MaxFile is the most bytes that are read of a file.
	MaxFile = 64 << 20

	maxDepth    = 24       // elements within each other; a secret is eight deep, with PBKDF2 nine
	maxElements = 256      // of one package, or of what stands before the first
	maxText     = 16 << 10 // bytes of text and attributes of those: a seed has some hundred
	maxSalt     = 1 << 10  // bytes, of PBKDF2's salt
	maxValue    = 4 << 10  // bytes, of one value
)

// Errors of the whole file. Those of single tokens are in their records.
var (
	// ErrFile: it is not PSKC that can be read. What is wrapped around it says why and never quotes the file.
	ErrFile = errors.New("reading PSKC")
	// ErrKey: the key or the password is not the file's. The same error of a single token is told in its record, because
	// it may also be the token that was changed.
	ErrKey = errors.New("reading PSKC: the key or password is not this file's")
)

func fileError(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrFile, fmt.Sprintf(format, args...))
}

// Options are where keys come from. Each function is asked at most once, when the first value needs it, with the name that
// the file gives the key, which is not to be trusted. The reader destroys what it gets. A nil function means that there is
// no such key.
type Options struct {
	Key      func(name string) (*otp.Secret, error) // Section 6.1: an AES key of 16, 24 or 32 bytes
	Password func(name string) (*otp.Secret, error) // Section 6.2: taken as it is, without a line end
	Info     func(Info)                             // called once, when all has been read; may be nil
}

// Info is what is known of a file that was read to its end.
type Info struct {
	Signed    bool // it has a signature, which was not checked
	Encrypted bool // a value was decrypted
}

// Read reads the tokens one by one, in the order of the file. An error ends it: ErrFile, ErrKey, or one of the Options'
// functions'. A token that can't be used is a record with Err.
func Read(r io.Reader, o Options) iter.Seq2[otp.Record, error] {
	return func(yield func(otp.Record, error) bool) {
		f := &file{x: newReader(r, MaxFile), o: o}
		defer f.destroy()
		if err := f.read(yield); err != nil && !errors.Is(err, errStopped) {
			yield(otp.Record{}, err)
		}
	}
}

// errStopped: the caller wants no more.
var errStopped = errors.New("stopped")
