package pkcs11

import (
	"context"
	"errors"
	"fmt"

	"github.com/miekg/pkcs11"

	"strongroom.internal/hsm"
)

// TrustTransportKey is the security officer's act in a join: it puts a joiner's public key (RSA, PKIX DER) on the token
// as trusted, so that the module will wrap the wrapping key to it and to nothing else. It runs in a process of its own,
// because a process is logged in as user or as officer and never both; c.PIN is the officer's here.
func TrustTransportKey(_ context.Context, c Config, pkix []byte) error {
	key, err := parseTransportKey(pkix)
	if err != nil {
		return err
	}
	return asOfficer(c, func(p *pkcs11.Ctx, session pkcs11.SessionHandle) error {
		old, err := find(p, session, []*pkcs11.Attribute{attribute(pkcs11.CKA_LABEL, peerLabel)})
		if err != nil {
			return err
		}
		for _, object := range old { // of a join that was interrupted
			if err := p.DestroyObject(session, object); err != nil {
				return translate("destroying an older transport key", err)
			}
		}
		_, err = p.CreateObject(session, []*pkcs11.Attribute{
			attribute(pkcs11.CKA_CLASS, pkcs11.CKO_PUBLIC_KEY),
			attribute(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_RSA),
			attribute(pkcs11.CKA_LABEL, peerLabel),
			attribute(pkcs11.CKA_TOKEN, true),
			attribute(pkcs11.CKA_PRIVATE, false),
			attribute(pkcs11.CKA_TRUSTED, true),
			attribute(pkcs11.CKA_WRAP, true),
			attribute(pkcs11.CKA_ENCRYPT, false),
			attribute(pkcs11.CKA_VERIFY, false),
			attribute(pkcs11.CKA_MODULUS, key.N.Bytes()),
			attribute(pkcs11.CKA_PUBLIC_EXPONENT, []byte{1, 0, 1}),
		})
		return translate("marking the transport key trusted", err)
	})
}

// asOfficer runs fn in a session of the security officer's.
func asOfficer(c Config, fn func(*pkcs11.Ctx, pkcs11.SessionHandle) error) error {
	if err := c.Validate(); err != nil {
		return err
	}
	lib, err := load(c.Module)
	if err != nil {
		return err
	}
	defer lib.release()
	lib.mu.RLock()
	defer lib.mu.RUnlock()
	slot, _, err := lib.slot(c)
	if err != nil {
		return err
	}
	session, err := lib.ctx.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
	if err != nil {
		return translate("opening a session", err)
	}
	defer func() { _ = lib.ctx.CloseSession(session) }()
	pin, err := c.PIN()
	if err != nil {
		return fmt.Errorf("reading the security officer's PIN: %w", err)
	}
	defer pin.Destroy()
	if err := lib.ctx.Login(session, pkcs11.CKU_SO, string(pin.Reveal())); err != nil {
		return translate("logging the security officer in", err)
	}
	defer func() { _ = lib.ctx.Logout(session) }()
	return fn(lib.ctx, session)
}

// InitToken makes a fresh token in the first slot that has none: for virtual hardware. What a real token needs before
// its first login is in its vendor's guide.
func InitToken(_ context.Context, module, label string, soPIN, userPIN *hsm.Secret) error {
	lib, err := load(module)
	if err != nil {
		return err
	}
	defer lib.release()
	lib.mu.RLock()
	defer lib.mu.RUnlock()
	p := lib.ctx
	slots, err := p.GetSlotList(true)
	if err != nil {
		return translate("listing the module's slots", err)
	}
	for _, slot := range slots {
		info, err := p.GetTokenInfo(slot)
		if err != nil || info.Flags&pkcs11.CKF_TOKEN_INITIALIZED != 0 {
			continue
		}
		if err := p.InitToken(slot, string(soPIN.Reveal()), label); err != nil {
			return translate("initialising a token", err)
		}
		session, err := p.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
		if err != nil {
			return translate("opening a session", err)
		}
		defer func() { _ = p.CloseSession(session) }()
		if err := p.Login(session, pkcs11.CKU_SO, string(soPIN.Reveal())); err != nil {
			return translate("logging the security officer in", err)
		}
		defer func() { _ = p.Logout(session) }()
		return translate("setting the user's PIN", p.InitPIN(session, string(userPIN.Reveal())))
	}
	return errors.New("initialising a token: no slot has an uninitialised one")
}
