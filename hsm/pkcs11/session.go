package pkcs11

import (
	"fmt"
	"sync"

	"github.com/miekg/pkcs11"

	"strongroom.internal/hsm"
)

// session is an hsm.Session. Only one goroutine uses it at a time.
type session struct {
	backend *Backend
	login   *login
	handle  pkcs11.SessionHandle
}

// enter begins a call into the library. Every method that calls it must call leave after.
func (s *session) enter() (*pkcs11.Ctx, error) {
	s.backend.lib.mu.RLock()
	if s.login.epoch != s.backend.lib.epoch {
		s.backend.lib.mu.RUnlock()
		return nil, fmt.Errorf("using a session: the module was restarted: %w", hsm.ErrSession)
	}
	return s.backend.lib.ctx, nil
}

func (s *session) leave() { s.backend.lib.mu.RUnlock() }

// Ping makes a new session on the token and looks the wrapping key up from there: libraries answer an old session from
// what they remember, and a new one from the token.
func (s *session) Ping() error {
	p, err := s.enter()
	if err != nil {
		return err
	}
	defer s.leave()
	if !tokenObjects.TryRLock() {
		return nil // it is making or ending a key right now, which may take seconds; the next ping looks
	}
	defer tokenObjects.RUnlock()
	if _, err := p.GetTokenInfo(s.login.slot); err != nil {
		return translate("asking for the token", err)
	}
	fresh, err := p.OpenSession(s.login.slot, pkcs11.CKF_SERIAL_SESSION)
	if err != nil {
		return translate("opening a session", err)
	}
	defer func() { _ = p.CloseSession(fresh) }()
	if err := loggedIn(p, fresh); err != nil {
		return err
	}
	found, err := findNow(p, fresh, wrappingKeys())
	if err != nil {
		return err
	}
	if len(found) == 0 {
		s.login.mu.Lock()
		_, known := s.login.handles[wrappingLabel]
		s.login.mu.Unlock()
		if known {
			return fmt.Errorf("looking for the wrapping key: it is no longer there: %w", hsm.ErrGone)
		}
		return nil
	}
	// Its attributes are read from the token, not from the list of objects.
	if _, err := p.GetAttributeValue(fresh, found[0], []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_ID, nil)}); err != nil {
		return fmt.Errorf("reading the wrapping key's id: %w (%w)", hsm.ErrGone, err)
	}
	return nil
}

// Load checks the tag in the module and unseals.
func (s *session) Load(b hsm.Binding, sealed hsm.SealedSeed) (hsm.Handle, error) {
	p, err := s.enter()
	if err != nil {
		return 0, err
	}
	defer s.leave()
	if err := s.checkTag(p, sealed.Tagged(b), sealed.Tag); err != nil {
		return 0, err
	}
	wrapping, err := s.tokenKey(p, wrappingLabel, sealed.KeyVersion)
	if err != nil {
		return 0, err
	}
	key, err := p.UnwrapKey(s.handle, kwp(), wrapping, sealed.Blob, unsealedSeed)
	if err != nil {
		return 0, translate("unsealing a seed", err)
	}
	return hsm.Handle(key), nil
}

// MAC computes HMACs with a loaded seed.
func (s *session) MAC(seed hsm.Handle, h hsm.Hash, messages [][]byte) ([][]byte, error) {
	mechanism, size, err := hmacOf(h)
	if err != nil {
		return nil, err
	}
	return s.macs(pkcs11.ObjectHandle(seed), mechanism, messages, size)
}

func (s *session) macs(key pkcs11.ObjectHandle, mechanism uint, messages [][]byte, size int) ([][]byte, error) {
	if _, err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	macs, err := s.backend.lib.fast.macs(uint(s.handle), uint(key), mechanism, messages, size)
	if err != nil {
		return nil, translate("computing MACs", err)
	}
	return macs, nil
}

// Unload destroys a loaded seed.
func (s *session) Unload(seed hsm.Handle) error {
	p, err := s.enter()
	if err != nil {
		return err
	}
	defer s.leave()
	return translate("destroying a seed", p.DestroyObject(s.handle, pkcs11.ObjectHandle(seed)))
}

// Close closes the session; its loaded seeds go with it.
func (s *session) Close() error {
	p, err := s.enter()
	if err != nil {
		return nil // went with the restart
	}
	defer s.leave()
	return translate("closing a session", p.CloseSession(s.handle))
}

// tag makes the module's HMAC over a record.
func (s *session) tag(p *pkcs11.Ctx, data []byte) ([]byte, error) {
	key, err := s.tokenKey(p, bindingLabel, 1)
	if err != nil {
		return nil, err
	}
	macs, err := s.backend.lib.fast.macs(uint(s.handle), uint(key), pkcs11.CKM_SHA256_HMAC, [][]byte{data}, 32)
	if err != nil {
		return nil, translate("tagging a record", err)
	}
	return macs[0], nil
}

func (s *session) checkTag(p *pkcs11.Ctx, data, tag []byte) error {
	key, err := s.tokenKey(p, bindingLabel, 1)
	if err != nil {
		return err
	}
	return translate("checking a record's tag",
		s.backend.lib.fast.check(uint(s.handle), uint(key), pkcs11.CKM_SHA256_HMAC, data, tag))
}

// tokenKey finds a secret key of the token and remembers its handle until the library is restarted.
func (s *session) tokenKey(p *pkcs11.Ctx, label string, version uint32) (pkcs11.ObjectHandle, error) {
	return s.object(p, label, version, pkcs11.CKO_SECRET_KEY)
}

func (s *session) object(p *pkcs11.Ctx, label string, version uint32, class uint) (pkcs11.ObjectHandle, error) {
	id := label
	if version != 1 || class != pkcs11.CKO_SECRET_KEY {
		id = fmt.Sprintf("%s/%d/%d", label, version, class)
	}
	s.login.mu.Lock()
	handle, known := s.login.handles[id]
	s.login.mu.Unlock()
	if known {
		return handle, nil
	}
	found, err := find(p, s.handle, named(label, version, class))
	if err != nil {
		return 0, err
	}
	switch len(found) {
	case 0:
		return 0, fmt.Errorf("finding the key %s version %d: %w", label, version, hsm.ErrNoKey)
	case 1:
	default:
		return 0, fmt.Errorf("finding the key %s version %d: there are %d", label, version, len(found))
	}
	s.login.mu.Lock()
	s.login.handles[id] = found[0]
	s.login.mu.Unlock()
	return found[0], nil
}

// tokenObjects keeps searches apart from the making and ending of objects on a token: SoftHSM, asked by another thread
// meanwhile, drops the object that is being made and answers CKR_GENERAL_ERROR. Objects of a session are not concerned.
var tokenObjects sync.RWMutex

// find lists the objects that match a template.
func find(p *pkcs11.Ctx, session pkcs11.SessionHandle, template []*pkcs11.Attribute) ([]pkcs11.ObjectHandle, error) {
	tokenObjects.RLock()
	defer tokenObjects.RUnlock()
	return findNow(p, session, template)
}

func findNow(p *pkcs11.Ctx, session pkcs11.SessionHandle, template []*pkcs11.Attribute) ([]pkcs11.ObjectHandle, error) {
	if err := p.FindObjectsInit(session, template); err != nil {
		return nil, translate("searching the token", err)
	}
	found, _, err := p.FindObjects(session, 64)
	if finalErr := p.FindObjectsFinal(session); err == nil {
		err = finalErr
	}
	return found, translate("searching the token", err)
}
