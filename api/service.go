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

// Service is the use cases, as appliance.Service has them. Errors are those of package appliance; whatever else comes is
// taken for a defect. An implementation has committed what it answers with, and is safe for concurrent use.
type Service interface {
	PutAccount(ctx context.Context, c appliance.Caller, idempotencyKey, name, class string) (info appliance.AccountInfo, created bool, err error)
	Account(ctx context.Context, c appliance.Caller, name string) (appliance.AccountInfo, error)
	DeleteAccount(ctx context.Context, c appliance.Caller, idempotencyKey, name string) error

	EnrolDevice(ctx context.Context, c appliance.Caller, idempotencyKey, name, signIn string, r appliance.DeviceRequest) (appliance.EnrolledDevice, error)
	AddAuthenticator(ctx context.Context, c appliance.Caller, idempotencyKey, name string, r appliance.AuthenticatorRequest) (appliance.NewAuthenticator, error)
	RemoveCredential(ctx context.Context, c appliance.Caller, idempotencyKey, name, credential string) error

	Verify(ctx context.Context, c appliance.Caller, idempotencyKey, name string, r appliance.VerifyRequest) (appliance.Verification, error)
	Resynchronise(ctx context.Context, c appliance.Caller, idempotencyKey, name string, r appliance.ResyncRequest) (appliance.Verification, error)

	BeginSignIn(ctx context.Context, c appliance.Caller, idempotencyKey, name string, r appliance.BeginRequest) (appliance.SignInInfo, error)
	SignIn(ctx context.Context, c appliance.Caller, name, signIn string) (appliance.SignInInfo, error)
	AwaitSignIn(ctx context.Context, c appliance.Caller, name, signIn string, was account.SignInState) (appliance.SignInInfo, error)
	SignIns(ctx context.Context, c appliance.Caller, name string) ([]appliance.SignInInfo, error)
	CancelSignIn(ctx context.Context, c appliance.Caller, idempotencyKey, name, signIn string) error
	DecideSignIn(ctx context.Context, c appliance.Caller, idempotencyKey, name, signIn string, r appliance.DecisionRequest) (appliance.Decided, error)
	FetchCode(ctx context.Context, c appliance.Caller, name, signIn string, r appliance.DecisionRequest) (appliance.SealedCode, error)
	SendCode(ctx context.Context, c appliance.Caller, idempotencyKey, name, signIn string, r appliance.SendRequest) (appliance.Sending, error)
	VerifySignIn(ctx context.Context, c appliance.Caller, idempotencyKey, name string, r appliance.EnterRequest) (appliance.Entered, error)
	VerifyCombined(ctx context.Context, c appliance.Caller, idempotencyKey, name string, text *hsm.Secret) (appliance.Combined, error)

	AddPhone(ctx context.Context, c appliance.Caller, idempotencyKey, name string, r appliance.PhoneRequest) (appliance.PhoneInfo, error)
	Phones(ctx context.Context, c appliance.Caller, name string) ([]appliance.PhoneInfo, error)
	ChangePhone(ctx context.Context, c appliance.Caller, idempotencyKey, name, phone string, r appliance.PhoneChange) (appliance.PhoneInfo, error)
	RemovePhone(ctx context.Context, c appliance.Caller, idempotencyKey, name, phone, signIn string) error
	SendPhoneCode(ctx context.Context, c appliance.Caller, idempotencyKey, name, phone string, voice bool) (appliance.Sending, error)
	VerifyPhone(ctx context.Context, c appliance.Caller, idempotencyKey, name, phone string, code otp.Code) (appliance.Verification, error)
	VerifyPhoneAndProtect(ctx context.Context, c appliance.Caller, idempotencyKey, name, id string, code otp.Code, r appliance.ProtectRequest) (appliance.Verification, *appliance.Protected, error)

	TrustBrowser(ctx context.Context, c appliance.Caller, idempotencyKey, name string, r appliance.BrowserRequest) (appliance.TrustedBrowser, error)
	CheckBrowser(ctx context.Context, c appliance.Caller, idempotencyKey, name string, r appliance.BrowserCheck) (appliance.BrowserTrust, error)
	Browsers(ctx context.Context, c appliance.Caller, name string) ([]appliance.BrowserInfo, error)
	RevokeBrowser(ctx context.Context, c appliance.Caller, idempotencyKey, name, id string) error
	SignOutBrowser(ctx context.Context, c appliance.Caller, idempotencyKey, name, browser string) error
	CheckDevice(ctx context.Context, c appliance.Caller, idempotencyKey, name string, p appliance.DeviceProof) (appliance.DeviceTrust, error)
	SignOutDevice(ctx context.Context, c appliance.Caller, idempotencyKey, name, device string) error
	ChangePassword(ctx context.Context, c appliance.Caller, idempotencyKey, name string, r appliance.PasswordChange) error

	Notices(ctx context.Context, c appliance.Caller, after *uint64, begun func(missed bool) error, fn func(appliance.NoticeEvent) error) error
	Webhooks(ctx context.Context, c appliance.Caller, tenant string) ([]appliance.Webhook, error)
	SetWebhook(ctx context.Context, c appliance.Caller, tenant, destination, url string, secret *hsm.Secret) (appliance.Webhook, error)
	RemoveWebhook(ctx context.Context, c appliance.Caller, tenant, destination string) error
	Outboxes(ctx context.Context, c appliance.Caller, tenant string) (list []appliance.Outbox, lost uint64, err error)

	CreateAppPassword(ctx context.Context, c appliance.Caller, idempotencyKey, account string, r appliance.AppPasswordRequest) (appliance.NewAppPassword, error)
	AppPasswords(ctx context.Context, c appliance.Caller, account string) ([]appliance.AppPasswordInfo, error)
	RevokeAppPassword(ctx context.Context, c appliance.Caller, idempotencyKey, account, id string) error // empty id: all
	VerifyAppPassword(ctx context.Context, c appliance.Caller, idempotencyKey, account string, r appliance.AppPasswordAttempt) (appliance.Verification, error)

	// NoteRefusal is told of requests that the access table refused.
	NoteRefusal(c appliance.Caller, route string)

	Protect(ctx context.Context, c appliance.Caller, idempotencyKey, name string, r appliance.ProtectRequest) (appliance.Protected, error)
	Protection(ctx context.Context, c appliance.Caller, name string) (appliance.ProtectionInfo, error)
	Unprotect(ctx context.Context, c appliance.Caller, idempotencyKey, name string, token *hsm.Secret) (appliance.Unprotected, error)
	EnrolTwoStep(ctx context.Context, c appliance.Caller, idempotencyKey, name string, r appliance.TwoStepRequest) (info appliance.TwoStepInfo, created bool, err error)
	ImportTwoStep(ctx context.Context, c appliance.Caller, idempotencyKey, name string, phones []appliance.TwoStepPhone) (info appliance.TwoStepInfo, created bool, err error)
	TwoStep(ctx context.Context, c appliance.Caller, name string) (appliance.TwoStepInfo, error)
	EndTwoStep(ctx context.Context, c appliance.Caller, idempotencyKey, name string) error
	SendTwoStepCode(ctx context.Context, c appliance.Caller, idempotencyKey, name string, r appliance.SendRequest) (appliance.TwoStepSending, error)
	VerifyTwoStep(ctx context.Context, c appliance.Caller, idempotencyKey, name string, r appliance.TwoStepAttempt) (appliance.Verification, error)
	MakeRecoveryKey(ctx context.Context, c appliance.Caller, idempotencyKey, name string) (appliance.NewRecoveryKey, error)
	SetClass(ctx context.Context, c appliance.Caller, idempotencyKey, name, class string) (appliance.ProtectionInfo, error)
	Eligibility(ctx context.Context, c appliance.Caller, r appliance.EligibilityRequest) (appliance.Eligibility, error)
	ChangeDevice(ctx context.Context, c appliance.Caller, idempotencyKey, name, device string, r appliance.DeviceChange) (appliance.EnrolledDevice, error)
	ReportPresence(ctx context.Context, c appliance.Caller, idempotencyKey, name, device string, signedIn bool) (appliance.CredentialInfo, error)
	ReportDevice(ctx context.Context, c appliance.Caller, idempotencyKey, name, device string, erased bool) (appliance.CredentialInfo, error)

	StartRecovery(ctx context.Context, c appliance.Caller, idempotencyKey, name string) (appliance.StartedRecovery, error)
	Recovery(ctx context.Context, c appliance.Caller, name string) (appliance.RecoveryInfo, error)
	SendRecoveryCode(ctx context.Context, c appliance.Caller, idempotencyKey, name, recovery string, r appliance.SendRequest) (appliance.Sending, error)
	GiveEvidence(ctx context.Context, c appliance.Caller, idempotencyKey, name, recovery string, p appliance.RecoveryProof) (appliance.ProvedRecovery, error)
	CancelRecovery(ctx context.Context, c appliance.Caller, idempotencyKey, name, recovery string, p appliance.RecoveryProof) (appliance.ProvedRecovery, error)
	WithdrawRecovery(ctx context.Context, c appliance.Caller, idempotencyKey, name, recovery string) error
	ClaimRecovery(ctx context.Context, c appliance.Caller, idempotencyKey, name, recovery string) (appliance.ClaimedRecovery, error)
	CompleteRecovery(ctx context.Context, c appliance.Caller, idempotencyKey, name, recovery string, token *hsm.Secret, r appliance.DeviceRequest) (appliance.EnrolledDevice, error)
	GrantReset(ctx context.Context, c appliance.Caller, idempotencyKey, name string, r appliance.ResetRequest) (appliance.Granted, error)
	RedeemReset(ctx context.Context, c appliance.Caller, idempotencyKey, name string, token *hsm.Secret) (appliance.Reset, error)

	Policy(ctx context.Context, c appliance.Caller, tenant string) (appliance.Policy, error)
	SetPolicy(ctx context.Context, c appliance.Caller, tenant string, p appliance.Policy) error

	Status(ctx context.Context) (appliance.ClusterStatus, error)
	Ready(ctx context.Context) []appliance.Check

	LogTrees(ctx context.Context) ([]appliance.LogTree, error)
	LogCheckpoint(ctx context.Context, tree string) ([]byte, error)
	LogTile(ctx context.Context, tree string, level int, n int64, width int) ([]byte, error)
	LogBundle(ctx context.Context, tree string, n int64, width int) ([]byte, error)
	LogPolicy(ctx context.Context) ([]byte, error)
	LogEntries(ctx context.Context, from int64, n int) ([][]byte, error)
	LogNews(ctx context.Context, index, signed int64) error
	SearchLog(ctx context.Context, q appliance.LogQuery) (appliance.LogPage, error)
	LogReceipt(ctx context.Context, index int64) ([]byte, error)
	AccountReceipt(ctx context.Context, c appliance.Caller, name string, index int64) ([]byte, error)

	LogRetention(ctx context.Context) (appliance.Retention, error)
	SetLogRetention(ctx context.Context, c appliance.Caller, r appliance.Retention) error
	RecordArchive(ctx context.Context, c appliance.Caller, a appliance.Archive) error
	PruneLog(ctx context.Context, c appliance.Caller, tree string, position int64) error
	LogWitnesses(ctx context.Context) ([]audit.Witness, error)
	SetLogWitnesses(ctx context.Context, c appliance.Caller, list []audit.Witness) error

	IssueCertificate(ctx context.Context, c appliance.Caller, r appliance.CertificateRequest) (appliance.IssuedCertificate, error)
	CreateJoinToken(ctx context.Context, c appliance.Caller, lifetime time.Duration) (appliance.JoinToken, error)
	Join(ctx context.Context, r appliance.JoinRequest) (appliance.JoinResponse, error)
	RemoveNode(ctx context.Context, c appliance.Caller, id string) error
}

var _ Service = (*appliance.Service)(nil)
