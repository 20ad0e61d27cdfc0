package pkcs11

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/miekg/pkcs11"

	"strongroom.internal/hsm"
)

// Backend is one token, logged in.
type Backend struct {
	config Config
	lib    *library
	info   hsm.Info
	limits hsm.Limits
	fit    fitness

	mu     sync.Mutex
	login  *login // nil while the token is away
	pinErr error  // once set, the PIN is never tried again
	closed bool
}

// login is the backend's state between two initialisations of the library.
type login struct {
	epoch  uint64
	slot   uint
	keeper pkcs11.SessionHandle // stays open: closing a process's last session would log it out; owns installed keys

	mu        sync.Mutex // guards the keeper session and what follows
	handles   map[string]pkcs11.ObjectHandle
	newest    uint32 // version of the wrapping key that seals; 0: not looked up yet
	installed map[hsm.KeyName]installedKey
}

// Open loads the library, logs in and proves that the module keeps the promises; one that can't is hsm.ErrUnfit. Other
// errors: hsm.ErrGone when the token is not there, hsm.ErrPIN.
func Open(_ context.Context, c Config) (*Backend, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	lib, err := load(c.Module)
	if err != nil {
		return nil, err
	}
	b := &Backend{config: c, lib: lib}
	if err := b.start(); err != nil {
		lib.release()
		return nil, err
	}
	if b.fit, err = b.probe(); err != nil {
		_ = b.Close()
		return nil, err
	}
	if err := b.dropUsedTransportKey(); err != nil {
		_ = b.Close()
		return nil, err
	}
	return b, nil
}

// dropUsedTransportKey ends a transport key that a crash in ImportFrom left behind: its one use is over once the wrapping
// key is in.
func (b *Backend) dropUsedTransportKey() error {
	opened, err := b.OpenSession(context.Background())
	if err != nil {
		return err
	}
	defer func() { _ = opened.Close() }()
	s := opened.(*session)
	p, err := s.enter()
	if err != nil {
		return err
	}
	defer s.leave()
	if versions, err := s.wrappingVersions(p); err != nil || len(versions) == 0 {
		return err
	}
	return s.destroyLabelled(p, transportLabel)
}

// start finds the token and logs in.
func (b *Backend) start() error {
	b.lib.mu.RLock()
	defer b.lib.mu.RUnlock()
	slot, token, err := b.lib.slot(b.config)
	if err != nil {
		return err
	}
	// A token may not be another one with the same label after it was away.
	if b.config.TokenSerial = token.SerialNumber; b.info.Serial != "" && b.info.Serial != trim(token.SerialNumber) {
		return fmt.Errorf("finding the token: another one is in its place: %w", hsm.ErrGone)
	}
	b.info = hsm.Info{
		Kind: "pkcs11", Manufacturer: trim(token.ManufacturerID), Model: trim(token.Model),
		Serial: trim(token.SerialNumber), Label: trim(token.Label),
		Firmware: fmt.Sprintf("%d.%d", token.FirmwareVersion.Major, token.FirmwareVersion.Minor),
	}
	b.limits = limitsOf(token)
	session, err := b.lib.ctx.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
	if err != nil {
		return translate("opening a session", err)
	}
	if err := b.logIn(session); err != nil {
		_ = b.lib.ctx.CloseSession(session)
		return err
	}
	b.login = &login{
		epoch: b.lib.epoch, slot: slot, keeper: session,
		handles: make(map[string]pkcs11.ObjectHandle), installed: make(map[hsm.KeyName]installedKey),
	}
	return nil
}

// logIn tries the PIN once. A refusal is remembered: a second try would only bring the token closer to locking.
func (b *Backend) logIn(session pkcs11.SessionHandle) error {
	if b.pinErr != nil {
		return b.pinErr
	}
	pin, err := b.config.PIN()
	if err != nil {
		return fmt.Errorf("reading the PIN: %w", err)
	}
	defer pin.Destroy()
	err = b.lib.ctx.Login(session, pkcs11.CKU_USER, string(pin.Reveal()))
	if is(err, pkcs11.CKR_USER_ALREADY_LOGGED_IN) {
		return nil // another backend of this process has
	}
	if err = translate("logging in", err); errors.Is(err, hsm.ErrPIN) {
		b.pinErr = err
	}
	return err
}

func limitsOf(token pkcs11.TokenInfo) hsm.Limits {
	l := hsm.Limits{Sessions: 64, Resident: 1 << 20}
	// One session is the keeper's and one a Ping's. Unlimited and unknown are CK_EFFECTIVELY_INFINITE and
	// CK_UNAVAILABLE_INFORMATION.
	for _, n := range []uint{token.MaxSessionCount, token.MaxRwSessionCount} {
		if n > 0 && n < 1<<20 {
			l.Sessions = min(l.Sessions, max(1, int(n)-2))
		}
	}
	return l
}

func trim(s string) string { return strings.TrimRight(s, " \x00") }

// Info describes the token.
func (b *Backend) Info() hsm.Info { return b.info }

// Limits are the token's.
func (b *Backend) Limits() hsm.Limits { return b.limits }

// OpenSession opens a session.
func (b *Backend) OpenSession(context.Context) (hsm.Session, error) {
	login, err := b.current()
	if err != nil {
		return nil, err
	}
	b.lib.mu.RLock()
	defer b.lib.mu.RUnlock()
	if login.epoch != b.lib.epoch {
		return nil, fmt.Errorf("opening a session: the module was restarted: %w", hsm.ErrGone)
	}
	handle, err := b.lib.ctx.OpenSession(login.slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
	if err != nil {
		return nil, translate("opening a session", err)
	}
	if err := loggedIn(b.lib.ctx, handle); err != nil {
		_ = b.lib.ctx.CloseSession(handle)
		return nil, err
	}
	return &session{backend: b, login: login, handle: handle}, nil
}

// loggedIn tells a login that ended behind our back, as it does when somebody closes all of the process's sessions or
// when a network module starts again: every private object is gone with it, and only Recover brings them back.
func loggedIn(p *pkcs11.Ctx, session pkcs11.SessionHandle) error {
	info, err := p.GetSessionInfo(session)
	if err != nil {
		return translate("asking for the login", err)
	}
	if info.State != pkcs11.CKS_RO_USER_FUNCTIONS && info.State != pkcs11.CKS_RW_USER_FUNCTIONS {
		return fmt.Errorf("asking for the login: it has ended: %w", hsm.ErrGone)
	}
	return nil
}

func (b *Backend) current() (*login, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return nil, errors.New("the backend is closed")
	case b.pinErr != nil:
		return nil, b.pinErr
	case b.login == nil:
		return nil, fmt.Errorf("opening a session: %w", hsm.ErrGone)
	}
	return b.login, nil
}

// Recover restarts the library and logs in again.
func (b *Backend) Recover(context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return errors.New("the backend is closed")
	}
	if b.pinErr != nil {
		return b.pinErr
	}
	var seen uint64
	if b.login != nil {
		seen = b.login.epoch
	} else {
		b.lib.mu.RLock()
		seen = b.lib.epoch
		b.lib.mu.RUnlock()
	}
	b.login = nil
	if err := b.lib.reinitialize(seen); err != nil {
		return err
	}
	return b.start()
}

// Close logs out and ends the library with its last user.
func (b *Backend) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil
	}
	b.closed = true
	if b.login != nil {
		b.lib.mu.RLock()
		if b.login.epoch == b.lib.epoch {
			_ = b.lib.ctx.CloseSession(b.login.keeper) // the last session of a process logs it out
		}
		b.lib.mu.RUnlock()
		b.login = nil
	}
	b.lib.release()
	return nil
}
