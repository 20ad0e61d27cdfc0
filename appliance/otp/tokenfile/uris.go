package tokenfile

import (
	"io"
	"iter"
	"strings"

	"strongroom.internal/appliance/otp"
)

// ReadURIs reads otpauth URIs, one a line, as otp.ParseURI does. Lines that begin with # are comments.
func ReadURIs(r io.Reader) iter.Seq2[otp.Record, error] {
	return each(r, func(line []byte, record *otp.Record) bool {
		if line[0] == '#' {
			return false
		}
		uri, err := otp.ParseURI(string(line))
		if err != nil {
			record.Fail(strings.TrimPrefix(err.Error(), otp.ErrURI.Error()+": "))
			return true
		}
		record.URI = uri
		return true
	})
}
