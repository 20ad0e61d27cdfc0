package client

import (
	"crypto/tls"
	"errors"
	"net"
	"strings"
)

// certificateTrouble says that one side refused the other's certificate: asking again is in vain, and the request was not
// read. With TLS 1.3 the node's refusal comes as an alert after the handshake has ended on our side; net/http's HTTP/2
// sometimes loses it and says only that the connection failed, and then what is known is less.
func certificateTrouble(err error) bool {
	var ours *tls.CertificateVerificationError
	var theirs *net.OpError
	return errors.Is(err, errStranger) || errors.As(err, &ours) ||
		errors.As(err, &theirs) && theirs.Op == "remote error" && strings.Contains(theirs.Err.Error(), "certificate")
}
