package api

import (
	"context"
	"fmt"
	"sync"
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
	refused string // by the access table: whom and what
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
	log     *fakeLog // nil: one entry, and a checkpoint that is none
	tile    []byte   // that LogTile and LogBundle give; nil: "tile" and "bundle"
	want    string   // what was asked for, in words
	query   appliance.LogQuery
	pages   map[string]appliance.LogPage // by cursor

	appPassword appliance.AppPasswordRequest
	appAttempt  string // the letters
	attempt     appliance.AppPasswordAttempt
	newPassword appliance.NewAppPassword
	revoked     string

	several sync.Mutex // guards asked and want where requests come at once

	signIn    string
	browser   appliance.BrowserRequest
	shown     string // a browser's token
	trust     bool
	proof     appliance.DeviceProof
	signedOut string
	password  appliance.PasswordChange

	begun    appliance.BeginRequest
	twoStep  fakeTwoStep
	class    string
	settings string
	protect  appliance.ProtectRequest
	token    string
	eligible appliance.EligibilityRequest
	change   appliance.DeviceChange
	erased   bool
	decision appliance.DecisionRequest
	send     appliance.SendRequest
	sending  appliance.Sending
	enter    appliance.EnterRequest
	phone    appliance.PhoneRequest
	notices  []appliance.NoticeEvent
	after    *uint64
	stay     bool           // the stream does not end by itself
	until    chan time.Time // is told when the stream is to end; nil: nobody asks
	recovery recoveryScript
	deadline time.Time
}

func (s *scripted) note(method string, c appliance.Caller, key, account string) {
	s.asked, s.caller, s.key, s.account = method, c, key, account
}

var totp = otp.Params{Mode: otp.TOTP, Hash: otp.SHA1, Digits: 6, Period: 30}

func (s *scripted) info(name string) appliance.AccountInfo {
	return appliance.AccountInfo{Account: name, Created: time.Unix(1700000000, 0), Credentials: []appliance.CredentialInfo{
		{ID: "device1", Kind: account.Device, Params: totp, Added: time.Unix(1700000001, 0), Serial: "C02XG2JH", Trusted: true},
		{ID: "app1", Kind: account.Authenticator, Params: totp, Added: time.Unix(1700000002, 0)},
	}}
}

func (s *scripted) PutAccount(_ context.Context, c appliance.Caller, key, name, class string) (appliance.AccountInfo, bool, error) {
	s.note("PutAccount", c, key, name)
	s.class = class
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

func (s *scripted) EnrolDevice(_ context.Context, c appliance.Caller, key, name, signIn string, _ appliance.DeviceRequest) (appliance.EnrolledDevice, error) {
	s.note("EnrolDevice", c, key, name)
	s.signIn = signIn
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

func (s *scripted) CreateAppPassword(_ context.Context, c appliance.Caller, key, name string, r appliance.AppPasswordRequest) (appliance.NewAppPassword, error) {
	s.note("CreateAppPassword", c, key, name)
	s.appPassword = r
	return s.newPassword, s.err
}

func (s *scripted) AppPasswords(_ context.Context, c appliance.Caller, name string) ([]appliance.AppPasswordInfo, error) {
	s.note("AppPasswords", c, "", name)
	return []appliance.AppPasswordInfo{{ID: "p1", Label: "Mail", Added: time.Unix(1700000000, 0)}}, s.err
}

func (s *scripted) RevokeAppPassword(_ context.Context, c appliance.Caller, key, name, id string) error {
	s.note("RevokeAppPassword", c, key, name)
	s.revoked = id
	return s.err
}

func (s *scripted) VerifyAppPassword(_ context.Context, c appliance.Caller, key, name string, r appliance.AppPasswordAttempt) (appliance.Verification, error) {
	s.note("VerifyAppPassword", c, key, name)
	s.appAttempt, s.attempt = string(r.Password.Reveal()), r
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
	if s.log != nil { // streams ask at once
		return s.log.trees(), s.err
	}
	s.asked = "LogTrees"
	return []appliance.LogTree{{
		Head: audit.Head{Tree: "2026", Size: 5, Root: [32]byte{1}}, Origin: "test/log/2026", Signed: 4,
	}}, s.err
}

func (s *scripted) LogCheckpoint(_ context.Context, tree string) ([]byte, error) {
	if s.log != nil {
		return s.log.checkpoint(tree), s.err
	}
	s.asked, s.want = "LogCheckpoint", tree
	return []byte("checkpoint"), s.err
}

// askedFor notes what is asked for by several at once.
func (s *scripted) askedFor(method, want string) {
	s.several.Lock()
	defer s.several.Unlock()
	s.asked, s.want = method, want
}

func (s *scripted) LogTile(_ context.Context, tree string, level int, n int64, width int) ([]byte, error) {
	s.askedFor("LogTile", fmt.Sprint(tree, " ", level, " ", n, " ", width))
	if s.tile != nil {
		return s.tile, s.err
	}
	return []byte("tile"), s.err
}

func (s *scripted) LogBundle(_ context.Context, tree string, n int64, width int) ([]byte, error) {
	s.askedFor("LogBundle", fmt.Sprint(tree, " ", n, " ", width))
	if s.tile != nil {
		return s.tile, s.err
	}
	return []byte("bundle"), s.err
}

func (s *scripted) LogPolicy(context.Context) ([]byte, error) {
	s.asked = "LogPolicy"
	return []byte("policy\n"), s.err
}

func (s *scripted) LogNews(ctx context.Context, index, signed int64) error {
	if s.log != nil {
		return s.log.news(ctx, index, signed)
	}
	if index >= 5 {
		<-ctx.Done()
		return ctx.Err()
	}
	return s.err
}

func (s *scripted) SearchLog(_ context.Context, q appliance.LogQuery) (appliance.LogPage, error) {
	s.asked, s.query = "SearchLog", q
	return s.pages[q.Cursor], s.err
}

func (s *scripted) LogReceipt(_ context.Context, index int64) ([]byte, error) {
	s.asked, s.want = "LogReceipt", fmt.Sprint(index)
	return []byte("receipt\n"), s.err
}

func (s *scripted) AccountReceipt(_ context.Context, c appliance.Caller, name string, index int64) ([]byte, error) {
	s.note("AccountReceipt", c, "", name)
	s.want = fmt.Sprint(index)
	return []byte("receipt\n"), s.err
}

func (s *scripted) LogRetention(context.Context) (appliance.Retention, error) {
	s.asked = "LogRetention"
	return appliance.Retention{KeepDays: 30}, s.err
}

func (s *scripted) SetLogRetention(_ context.Context, c appliance.Caller, r appliance.Retention) error {
	s.note("SetLogRetention", c, "", "")
	s.want = fmt.Sprint(r.KeepDays)
	return s.err
}

func (s *scripted) RecordArchive(_ context.Context, c appliance.Caller, a appliance.Archive) error {
	s.note("RecordArchive", c, "", "")
	s.want = fmt.Sprint(a.Tree, " ", a.Size, " ", a.Root[0], " ", a.Where)
	return s.err
}

func (s *scripted) PruneLog(_ context.Context, c appliance.Caller, tree string, position int64) error {
	s.note("PruneLog", c, "", "")
	s.want = fmt.Sprint(tree, " ", position)
	return s.err
}

func (s *scripted) LogWitnesses(context.Context) ([]audit.Witness, error) {
	s.asked = "LogWitnesses"
	return []audit.Witness{{VKey: "v", URL: "https://w"}}, s.err
}

func (s *scripted) SetLogWitnesses(_ context.Context, c appliance.Caller, list []audit.Witness) error {
	s.note("SetLogWitnesses", c, "", "")
	s.want = fmt.Sprint(list)
	return s.err
}

func (s *scripted) LogEntries(_ context.Context, from int64, n int) ([][]byte, error) {
	if s.log != nil {
		return s.log.read(from, n), s.err
	}
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

func (s *scripted) NoteRefusal(c appliance.Caller, route string) {
	s.refused = c.Identity + " " + route
}
