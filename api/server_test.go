package api

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"strongroom.internal/api/client"
	"strongroom.internal/api/wire"
	"strongroom.internal/appliance"
	"strongroom.internal/appliance/account"
	"strongroom.internal/appliance/audit/index"
)

// ours is the Go client with an identity.
func (s *server) ours(t testing.TB, identity string, http1 bool) *client.Client {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(s.root)
	c, err := client.New(client.Config{
		Nodes: []string{s.addr}, HTTP1: http1,
		TLS: &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{s.issue(t, identity)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// Each call of the client is a route of the server, and what one writes the other reads.
func TestClientAndServer(t *testing.T) {
	for _, http1 := range []bool{false, true} {
		service := well()
		s := serve(t, Config{Service: service}, false)
		f, o := s.ours(t, asFrontend, http1), s.ours(t, asOperator, http1)
		ctx := t.Context()
		service.answer = appliance.Verification{Outcome: account.Accepted, Credential: "d1", Entry: 1<<53 + 1}
		v, err := f.Verify(ctx, "a/ü", wire.VerifyRequest{Code: wire.NewSecret("123456")})
		if want := (wire.Verification{Outcome: wire.Accepted, Device: "d1", Entry: 1<<53 + 1}); err != nil || v != want || service.account != "a/ü" || service.key == "" {
			t.Errorf("verify: %+v, %v", v, err)
		}
		a, err := f.PutAccount(ctx, "alice")
		if err != nil || a.Account != "alice" || len(a.Credentials) != 2 || !a.RetryAt.IsZero() || !a.Credentials[0].LastUsed.IsZero() {
			t.Errorf("account: %+v, %v", a, err)
		}
		if d, err := f.Devices(ctx, "alice"); err != nil || len(d) != 1 || d[0].Kind != wire.KindDevice || d[0].Params.Algorithm != "SHA1" {
			t.Errorf("devices: %+v, %v", d, err)
		}
		if d, err := f.EnrolDevice(ctx, "alice", wire.DeviceRequest{PublicKey: []byte{1}}); err != nil || d.Binding.Tenant != "acme" || d.Entry != 7 {
			t.Errorf("device: %+v, %v", d, err)
		}
		uri := wire.NewSecret("otpauth://totp/x?secret=AAAA")
		if _, err := f.AddAuthenticator(ctx, "alice", wire.AuthenticatorRequest{URI: uri}); err != nil || service.params.URI == nil {
			t.Errorf("import: %v", err)
		}
		if _, err := f.Resynchronise(ctx, "alice", "a1", wire.ResyncRequest{First: wire.NewSecret("123456"), Second: wire.NewSecret("654321")}); err != nil {
			t.Errorf("resynchronise: %v", err)
		}
		_, authenticatorsErr := f.Authenticators(ctx, "alice")
		_, accountErr := f.Account(ctx, "alice")
		_, policyErr := o.Policy(ctx, "acme")
		_, clusterErr := o.Cluster(ctx)
		_, headErr := o.LogHead(ctx)
		entries, entriesErr := o.LogEntries(ctx, 0, 10)
		_, issueErr := o.IssueCertificate(ctx, wire.CertificateRequest{PublicKey: []byte{1}, Role: "auditor", Name: "a"})
		token, tokenErr := o.CreateJoinToken(ctx, 0)
		if err := errors.Join(authenticatorsErr, accountErr, policyErr, clusterErr, headErr, entriesErr, issueErr, tokenErr,
			f.RemoveDevice(ctx, "alice", "d1"), f.RemoveAuthenticator(ctx, "alice", "a1"), f.DeleteAccount(ctx, "alice"),
			o.SetPolicy(ctx, "acme", wire.Policy{TellSpent: true}), o.RemoveNode(ctx, "n3")); err != nil {
			t.Error(err)
		}
		if len(entries) != 1 || token.Token.Reveal() != "srjoin1_secret" || !service.policy.TellSpent {
			t.Errorf("%q, %q, %+v", entries, token.Token.Reveal(), service.policy)
		}
		var p *client.Problem
		if _, err := o.Verify(ctx, "alice", wire.VerifyRequest{Code: wire.NewSecret("123456")}); !errors.As(err, &p) || !p.Named("forbidden") {
			t.Errorf("an operator verified: %v", err)
		}
	}
}

// The same of the log.
func TestClientAndServerOfTheLog(t *testing.T) {
	for _, http1 := range []bool{false, true} {
		service := well()
		s := serve(t, Config{Service: service}, false)
		f, o := s.ours(t, asFrontend, http1), s.ours(t, asOperator, http1)
		ctx := t.Context()
		service.answer = appliance.Verification{Outcome: account.Accepted, Entry: 3, Receipt: []byte("receipt\n")}
		v, err := f.Verify(ctx, "alice", wire.VerifyRequest{Code: wire.NewSecret("123456"), Receipt: true})
		if err != nil || v.Receipt != "receipt\n" || !service.verify.Receipt {
			t.Errorf("verify with a receipt: %+v, %v", v, err)
		}
		if b, err := f.Receipt(ctx, "a/ü", 3); err != nil || string(b) != "receipt\n" || service.account != "a/ü" || service.want != "3" {
			t.Errorf("receipt: %q, %v", b, err)
		}
		service.pages = map[string]appliance.LogPage{"": {Found: []appliance.LogFound{{Index: 9, Tree: "2026", Entry: []byte("{}")}}, Cursor: "c"}}
		q := client.LogQuery{
			Tenant: "acme", Account: "a&b", Pseudonym: "0f", Key: "k", Subject: "s", Actor: "spiffe://a/b", Operation: "verify", Outcome: "wrong",
			Request: "1e", Node: "n1", From: time.Unix(1, 5e8), To: time.Unix(3, 0), Oldest: true, Limit: 7,
		}
		page, err := o.SearchLog(ctx, q)
		asked := appliance.LogQuery{
			Query: index.Query{
				Tenant: "acme", Account: "0f", Key: "k", Subject: "s", Actor: "spiffe://a/b", Operation: "verify", Outcome: "wrong", Request: "1e",
				Node: "n1", From: q.From, To: q.To,
			},
			Name: "a&b", Oldest: true, Limit: 7,
		}
		if d := cmp.Diff(asked, service.query, cmp.Comparer(time.Time.Equal)); d != "" || err != nil || len(page.Entries) != 1 || page.Cursor != "c" {
			t.Errorf("search: %+v, %v\n%s", page, err, d)
		}
		trees, treesErr := o.LogTrees(ctx)
		tile, tileErr := o.LogResource(ctx, "2026", "tile/entries/000.p/4")
		policy, policyErr := o.LogPolicy(ctx)
		proof, proofErr := o.LogProof(ctx, 3)
		request, requestErr := o.LogProofOf(ctx, strings.Repeat("0a", 16))
		retention, retentionErr := o.LogRetention(ctx)
		witnesses, witnessesErr := o.LogWitnesses(ctx)
		if err := errors.Join(treesErr, tileErr, policyErr, proofErr, requestErr, retentionErr, witnessesErr,
			o.SetLogRetention(ctx, wire.LogRetention{KeepDays: 1}), o.SetLogWitnesses(ctx, nil), o.SetLogWitnesses(ctx, witnesses),
			o.RecordLogArchive(ctx, wire.LogArchive{Tree: "2026", Size: 1, Root: make([]byte, 32)}),
			o.PruneLog(ctx, wire.LogPruning{Tree: "2026", Position: 1})); err != nil {
			t.Error(err)
		}
		if len(trees) != 1 || string(tile) != "bundle" || string(policy) != "policy\n" || string(proof) != "receipt\n" ||
			string(request) != "receipt\n" || retention.KeepDays != 30 || len(witnesses) != 1 {
			t.Errorf("%+v %q %q %q %q %+v %+v", trees, tile, policy, proof, request, retention, witnesses)
		}
		service.log = newFakeLog()
		enough := errors.New("enough")
		heard := 0
		err = o.FollowLog(ctx, 0, func(e client.LogEvent) error {
			switch heard++; heard {
			case 4:
				service.log.sign()
			case 6:
				service.log.grow(1)
			case 7:
				if e.Index != 4 || !strings.Contains(string(e.Entry), `"index":4`) {
					t.Errorf("heard %+v", e)
				}
				return enough
			}
			return nil
		})
		if err != enough {
			t.Errorf("following: %v after %d", err, heard)
		}
	}
}

// A client whose certificate is refused, or that refuses the node's, hears of it at once.
func TestClientWithoutTrust(t *testing.T) {
	s, other := serve(t, Config{Service: well()}, false), newPKI(t)
	ours, theirs := x509.NewCertPool(), x509.NewCertPool()
	ours.AddCert(s.root)
	theirs.AddCert(other.root)
	for _, http1 := range []bool{false, true} {
		for name, config := range map[string]*tls.Config{
			"refused": {RootCAs: ours, Certificates: []tls.Certificate{other.issue(t, asFrontend)}},
			"refuses": {RootCAs: theirs, Certificates: []tls.Certificate{s.issue(t, asFrontend)}},
		} {
			c, err := client.New(client.Config{Nodes: []string{s.addr}, TLS: config, HTTP1: http1})
			if err != nil {
				t.Fatal(err)
			}
			_, err = c.Verify(t.Context(), "alice", wire.VerifyRequest{Code: wire.NewSecret("123456")})
			// Over HTTP/2 the node's alert may be lost: then the client can't know that nothing was done.
			unknown := errors.Is(err, client.ErrUnknownOutcome) && (http1 || name == "refuses")
			if err == nil || unknown || errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s, HTTP/1.1 %v: %v", name, http1, err)
			}
			c.Close()
		}
	}
}

// A joining node knows the cluster by the hash in its token: the server sends its authority along.
func TestJoinOverTheWire(t *testing.T) {
	service := well()
	s := serve(t, Config{Service: service}, false)
	pin := sha256.Sum256(s.root.Raw)
	token := "srjoin1_" + base64.RawURLEncoding.EncodeToString(append(pin[:], make([]byte, 16)...))
	r := wire.JoinRequest{
		Token: wire.NewSecret(token), NodeID: "n2", ClusterAddr: "h:1", APIAddr: "h:2", IdentityKey: []byte{1},
		LogKey: []byte{1}, TransportKey: []byte{1},
	}
	w, err := client.Join(t.Context(), []string{s.addr}, r)
	if err != nil || w.ClusterID != "c1" {
		t.Fatalf("got %+v, %v", w, err)
	}
	if string(service.join.Token.Reveal()) != "" {
		t.Error("the token was not destroyed after use")
	}
}

// A server that is told to end answers what is under way and takes nothing new.
func TestShutdown(t *testing.T) {
	service := well()
	service.block, service.entered = make(chan struct{}), make(chan struct{}, 1)
	a, err := New(Config{Service: service, TrustDomain: "test"})
	if err != nil {
		t.Fatal(err)
	}
	s := &server{pki: newPKI(t), api: a}
	own := s.issue(t, asNode)
	listener, metricsListener := listen(t), listen(t)
	s.addr = listener.Addr().String()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- (&Server{
			API: a, Listener: listener, Metrics: metricsListener,
			TLS: ServerTLS(func() (*tls.Certificate, error) { return &own, nil }, s.root),
		}).Run(ctx)
	}()
	c := s.client(t, asFrontend)
	answered := make(chan reply, 1)
	go func() { answered <- s.send(t, c, "POST /v1/accounts/alice/verifications", `{"code":"123456"}`) }()
	<-service.entered

	plain, err := http.Get("http://" + metricsListener.Addr().String() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(plain.Body)
	plain.Body.Close()
	if !strings.Contains(string(text), "strongroom_api_in_flight_requests 1\n") {
		t.Error("the metrics listener does not show the request that is under way")
	}
	if other, err := http.Get("http://" + metricsListener.Addr().String() + "/v1/cluster"); err != nil || other.StatusCode != 404 {
		t.Errorf("the metrics listener serves more: %v", err)
	}

	cancel()
	for { // until the listener is closed
		conn, err := net.Dial("tcp", s.addr)
		if err != nil {
			break
		}
		conn.Close()
	}
	close(service.block)
	if got := <-answered; got.status != 200 {
		t.Errorf("the request under way: %d %s", got.status, got.body)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// Nothing below TLS 1.3 is spoken.
func TestOldTLS(t *testing.T) {
	s := serve(t, Config{Service: well()}, false)
	if conn, err := tls.Dial("tcp", s.addr, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}); err == nil {
		conn.Close()
		t.Error("TLS 1.2 was spoken")
	}
}

func TestConfigReportsEverything(t *testing.T) {
	_, err := New(Config{MaxInFlight: -1})
	for _, part := range []string{"service", "trust domain", "limits"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%v does not mention %s", err, part)
		}
	}
}
