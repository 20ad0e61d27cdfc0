package client_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log"
	"os"

	"strongroom.internal/api/client"
	"strongroom.internal/api/wire"
)

// A front-end asks whether the code that a person typed is right.
func ExampleClient_Verify() {
	certificate, err := tls.LoadX509KeyPair("web.pem", "web-key.pem")
	if err != nil {
		log.Fatal(err)
	}
	authority, err := os.ReadFile("authority.pem")
	if err != nil {
		log.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	c, err := client.New(client.Config{
		Nodes: []string{"n1.example:7300", "n2.example:7300", "n3.example:7300"},
		TLS:   &tls.Config{Certificates: []tls.Certificate{certificate}, RootCAs: roots},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	answer, err := c.Verify(context.Background(), "alice", wire.VerifyRequest{Code: wire.NewSecret("123456")})
	switch {
	case errors.Is(err, client.ErrUnavailable):
		fmt.Println("try again in a moment; nothing was charged")
	case errors.Is(err, client.ErrUnknownOutcome):
		fmt.Println("it is not known whether the attempt counted; never say that the code was wrong")
	case err != nil:
		log.Fatal(err)
	case answer.Outcome == wire.Accepted:
		fmt.Println("welcome")
	case answer.Outcome == wire.Locked && !answer.RetryAt.IsZero():
		fmt.Println("too many attempts; the next one is heard at", answer.RetryAt)
	default:
		fmt.Println("wrong code")
	}
}

// A code does not print, however it is printed.
func ExampleSecret() {
	request := wire.VerifyRequest{Code: wire.NewSecret("123456")}
	fmt.Printf("%v %+v %#v %s\n", request.Code, request.Code, request.Code, request.Code)
	// Output: (redacted) (redacted) (redacted) (redacted)
}
