package api

import (
	"context"
	"time"

	"strongroom.internal/appliance"
	"strongroom.internal/appliance/account"
	"strongroom.internal/appliance/audit"
	"strongroom.internal/appliance/otp"
	"strongroom.internal/hsm"
)

// scripted is use cases that answer what a test told them and remember what they were asked. It stands in for hardware
// and cluster where only the HTTP layer is looked at; tests/ has the real ones.
type scripted struct {
	err     error // of every call
	caller  appliance.Caller
	account string
	key     string
	asked   string // the method
	tenant  string
	verify  appliance.VerifyRequest
	answer  appliance.Verification
	made    appliance.NewAuthenticator
	checks  []appliance.Check
	join    appliance.JoinRequest
	block   chan struct{} // Verify waits for it, or for its context
	entered chan struct{} // Verify says that it runs
	params  appliance.AuthenticatorRequest
	policy  appliance.Policy
	panics  bool

	begun    appliance.BeginRequest
	decision appliance.DecisionRequest
	send     appliance.SendRequest
	sending  appliance.Sending
	enter    appliance.EnterRequest
	phone    appliance.PhoneRequest
	notices  []appliance.NoticeEvent
	after    *uint64
	stay     bool // the stream does not end by itself
	deadline time.Time
}

func (s *scripted) note(method string, c appliance.Caller, key, account string) {
	s.asked, s.caller, s.key, s.account = method, c, key, account
}

var totp = otp.Params{Mode: otp.TOTP, Hash: otp.SHA1, Digits: 6, Period: 30}

func (s *scripted) info(name string) appliance.AccountInfo {
	return appliance.AccountInfo{Account: name, Created: time.Unix(1700000000, 0), Credentials: []appliance.CredentialInfo{
		{ID: "device1", Kind: account.Device, Params: totp, Added: time.Unix(1700000001, 0)},
		{ID: "app1", Kind: account.Authenticator, Params: totp, Added: time.Unix(1700000002, 0)},
	}}
}

func (s *scripted) PutAccount(_ context.Context, c appliance.Caller, key, name string) (appliance.AccountInfo, bool, error) {
	s.note("PutAccount", c, key, name)
	return s.info(name), true, s.err
}

func (s *scripted) Account(_ context.Context, c appliance.Caller, name string) (appliance.AccountInfo, error) {
	s.note("Account", c, "", name)
	return s.info(name), s.err
}

func (s *scripted) DeleteAccount(_ context.Context, c appliance.Caller, key, name string) error {
	s.note("DeleteAccount", c, key, name)
	return s.err
}

func (s *scripted) EnrolDevice(_ context.Context, c appliance.Caller, key, name string, _ appliance.DeviceRequest) (appliance.EnrolledDevice, error) {
	s.note("EnrolDevice", c, key, name)
	return appliance.EnrolledDevice{
		CredentialInfo: s.info(name).Credentials[0], Envelope: hsm.Envelope{Ephemeral: []byte{4}, Wrapped: []byte{5}},
		Binding: hsm.Binding{Tenant: c.Tenant, Account: name, Credential: "device1", Version: 1}, Entry: 7,
	}, s.err
}

func (s *scripted) AddAuthenticator(_ context.Context, c appliance.Caller, key, name string, r appliance.AuthenticatorRequest) (appliance.NewAuthenticator, error) {
	s.note("AddAuthenticator", c, key, name)
	s.params = r
	return s.made, s.err
}

func (s *scripted) RemoveCredential(_ context.Context, c appliance.Caller, key, name, _ string) error {
	s.note("RemoveCredential", c, key, name)
	return s.err
}

func (s *scripted) Verify(ctx context.Context, c appliance.Caller, key, name string, r appliance.VerifyRequest) (appliance.Verification, error) {
	if s.block != nil {
		s.entered <- struct{}{}
		select {
		case <-s.block:
		case <-ctx.Done():
			return appliance.Verification{}, ctx.Err()
		}
		return s.answer, s.err
	}
	if s.panics {
		panic("on purpose")
	}
	s.note("Verify", c, key, name)
	s.verify = r
	return s.answer, s.err
}

func (s *scripted) Resynchronise(_ context.Context, c appliance.Caller, key, name string, _ appliance.ResyncRequest) (appliance.Verification, error) {
	s.note("Resynchronise", c, key, name)
	return s.answer, s.err
}

func (s *scripted) Policy(_ context.Context, c appliance.Caller, tenant string) (appliance.Policy, error) {
	s.note("Policy", c, "", "")
	s.tenant = tenant
	return s.policy, s.err
}

func (s *scripted) SetPolicy(_ context.Context, c appliance.Caller, tenant string, p appliance.Policy) error {
	s.note("SetPolicy", c, "", "")
	s.tenant, s.policy = tenant, p
	return s.err
}

func (s *scripted) Status(context.Context) (appliance.ClusterStatus, error) {
	s.asked = "Status"
	return appliance.ClusterStatus{ClusterID: "c1", Node: "n1", Leader: "n1", Module: hsm.State{Status: hsm.Ready}}, s.err
}

func (s *scripted) Ready(context.Context) []appliance.Check { return s.checks }

func (s *scripted) LogTrees(context.Context) ([]appliance.LogTree, error) {
	s.asked = "LogTrees"
	return []appliance.LogTree{{
		Head: audit.Head{Tree: "2026", Size: 5, Root: [32]byte{1}}, Origin: "test/log/2026", Signed: 4,
	}}, s.err
}

func (s *scripted) LogCheckpoint(context.Context, string) ([]byte, error) {
	s.asked = "LogCheckpoint"
	return []byte("checkpoint"), s.err
}

func (s *scripted) LogTile(context.Context, string, int, int64, int) ([]byte, error) {
	s.asked = "LogTile"
	return []byte("tile"), s.err
}

func (s *scripted) LogBundle(context.Context, string, int64, int) ([]byte, error) {
	s.asked = "LogBundle"
	return []byte("bundle"), s.err
}

func (s *scripted) LogPolicy(context.Context) ([]byte, error) {
	s.asked = "LogPolicy"
	return []byte("policy"), s.err
}

func (s *scripted) LogWait(ctx context.Context, index int64) error {
	if index >= 5 {
		<-ctx.Done()
		return ctx.Err()
	}
	return s.err
}

func (s *scripted) LogReceipt(context.Context, int64) ([]byte, error) {
	s.asked = "LogReceipt"
	return []byte("receipt"), s.err
}

func (s *scripted) AccountReceipt(_ context.Context, c appliance.Caller, name string, _ int64) ([]byte, error) {
	s.note("AccountReceipt", c, "", name)
	return []byte("receipt"), s.err
}

func (s *scripted) LogRetention(context.Context) (appliance.Retention, error) {
	s.asked = "LogRetention"
	return appliance.Retention{KeepDays: 30}, s.err
}

func (s *scripted) SetLogRetention(_ context.Context, c appliance.Caller, _ appliance.Retention) error {
	s.note("SetLogRetention", c, "", "")
	return s.err
}

func (s *scripted) RecordArchive(_ context.Context, c appliance.Caller, _ appliance.Archive) error {
	s.note("RecordArchive", c, "", "")
	return s.err
}

func (s *scripted) PruneLog(_ context.Context, c appliance.Caller, _ string, _ int64) error {
	s.note("PruneLog", c, "", "")
	return s.err
}

func (s *scripted) LogWitnesses(context.Context) ([]audit.Witness, error) {
	s.asked = "LogWitnesses"
	return []audit.Witness{{VKey: "v", URL: "https://w"}}, s.err
}

func (s *scripted) SetLogWitnesses(_ context.Context, c appliance.Caller, _ []audit.Witness) error {
	s.note("SetLogWitnesses", c, "", "")
	return s.err
}

func (s *scripted) LogEntries(_ context.Context, from int64, n int) ([][]byte, error) {
	s.asked = "LogEntries"
	if from >= 5 {
		return nil, s.err
	}
	return [][]byte{[]byte(`{"v":1,"text":"<&>"}`)}, s.err
}

func (s *scripted) IssueCertificate(_ context.Context, c appliance.Caller, _ appliance.CertificateRequest) (appliance.IssuedCertificate, error) {
	s.note("IssueCertificate", c, "", "")
	return appliance.IssuedCertificate{Identity: "spiffe://test/operator/o"}, s.err
}

func (s *scripted) CreateJoinToken(_ context.Context, c appliance.Caller, _ time.Duration) (appliance.JoinToken, error) {
	s.note("CreateJoinToken", c, "", "")
	return appliance.JoinToken{Token: hsm.NewSecret([]byte("srjoin1_secret")), Expires: time.Unix(1700000000, 0)}, s.err
}

func (s *scripted) Join(_ context.Context, r appliance.JoinRequest) (appliance.JoinResponse, error) {
	s.asked, s.join = "Join", r
	return appliance.JoinResponse{ClusterID: "c1", TrustDomain: "test", Keys: hsm.KeyPackage{KeyVersion: 3}}, s.err
}

func (s *scripted) RemoveNode(_ context.Context, c appliance.Caller, _ string) error {
	s.note("RemoveNode", c, "", "")
	return s.err
}
