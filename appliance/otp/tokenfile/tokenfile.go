// Package tokenfile reads the files in which other systems export OATH tokens. Each format is a function that gives the
// tokens one by one; [Read] finds the function by the format's name and [Detect] the name by the file's beginning.
//
// A token that can't be used is a record with an error, not the end of the file. No error quotes the file.
package tokenfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"

	"strongroom.internal/appliance/otp"
	"strongroom.internal/appliance/otp/pskc"
)

// Bounds on what is read of a file.
const (
	MaxFile    = pskc.MaxFile // bytes
	MaxRecords = pskc.MaxKeys
	maxLine    = 16 << 10 // bytes; a QR code holds 4,296 characters at most, and a URI of it grows by its escapes
)

// ErrFile: the whole file can't be read. What is wrapped around it says why and never quotes the file.
var ErrFile = errors.New("reading the token file")

func fileError(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrFile, fmt.Sprintf(format, args...))
}

// Format is the name of a format.
type Format string

// The formats.
const (
	OTPAuth     Format = "otpauth"     // otpauth URIs, one a line
	Migration   Format = "migration"   // Google Authenticator's export, one URI a line
	PSKC        Format = "pskc"        // RFC 6030
	CSV         Format = "csv"         // our own
	PrivacyIDEA Format = "privacyidea" // privacyIDEA's CSV
	LinOTP      Format = "linotp"      // LinOTP's CSV
	Yubico      Format = "yubico"      // the YubiKey Personalization Tool's log
)

// Formats lists them.
func Formats() []Format {
	return []Format{OTPAuth, Migration, PSKC, CSV, PrivacyIDEA, LinOTP, Yubico}
}

// Options are what formats need besides the file.
type Options struct {
	PSKC       pskc.Options
	Incomplete bool // Migration: take an export of which parts are missing
}

// Read reads a file of a format. An error that comes without a record ends it and is one of the whole file: it wraps
// ErrFile or an error of pskc.
func Read(f Format, r io.Reader, o Options) iter.Seq2[otp.Record, error] {
	switch f {
	case OTPAuth:
		return ReadURIs(r)
	case Migration:
		return ReadMigration(r, o.Incomplete)
	case PSKC:
		return pskc.Read(r, o.PSKC)
	case CSV:
		return ReadCSV(r)
	case PrivacyIDEA:
		return ReadPrivacyIDEA(r)
	case LinOTP:
		return ReadLinOTP(r)
	case Yubico:
		return ReadYubico(r)
	}
	return func(yield func(otp.Record, error) bool) { yield(otp.Record{}, fileError("%q is no format", string(f))) }
}

// Detect finds the format by the beginning of a file, which is as much of it as there is or some kilobytes. LinOTP's CSV
// and privacyIDEA's give the same columns other meanings, and nothing in them says which it is: they are not guessed, nor
// is what nothing tells. Those are ErrFile.
func Detect(head []byte) (Format, error) {
	head = bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\ufeff")), " \t\r\n")
	if bytes.HasPrefix(head, []byte("<")) {
		return PSKC, nil
	}
	for line := range bytes.Lines(head) {
		text := strings.ToLower(strings.TrimSpace(string(line)))
		columns := strings.Split(text, ",")
		switch {
		case strings.HasPrefix(text, "otpauth://"):
			return OTPAuth, nil
		case strings.HasPrefix(text, "otpauth-migration://"):
			return Migration, nil
		case len(columns) > 1 && slices.Contains(columns, "secret"):
			return CSV, nil
		case versionLine.MatchString(text):
			return PrivacyIDEA, nil
		case columns[0] == "logging start" || columns[0] == "oath-hotp":
			return Yubico, nil
		case text != "" && !strings.HasPrefix(text, "#"):
			return "", fileError("its format can't be told; say which it is")
		}
	}
	return "", fileError("its format can't be told; say which it is")
}
