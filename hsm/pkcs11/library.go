package pkcs11

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"

	"github.com/miekg/pkcs11"

	"strongroom.internal/hsm"
)

// library is one vendor's library in this process, initialised once for all backends.
type library struct {
	ctx  *pkcs11.Ctx
	fast *shim
	path string
	refs int // guarded by loaded.mu

	// mu is held for reading by every call into the library and for writing while it is re-initialised.
	mu    sync.RWMutex
	epoch uint64 // counts initialisations; guarded by mu
}

var loaded = struct {
	mu        sync.Mutex
	libraries map[string]*library
}{libraries: make(map[string]*library)}

// load gives the process's one library of that path.
func load(path string) (*library, error) {
	loaded.mu.Lock()
	defer loaded.mu.Unlock()
	resolved, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, fmt.Errorf("loading the PKCS#11 module: %w", err)
	}
	if lib := loaded.libraries[resolved]; lib != nil {
		lib.refs++
		return lib, nil
	}
	lib := &library{path: resolved, refs: 1}
	if lib.ctx = pkcs11.New(resolved); lib.ctx == nil {
		return nil, fmt.Errorf("loading the PKCS#11 module: %s is not a PKCS#11 library", resolved)
	}
	if lib.fast, err = openShim(resolved); err != nil {
		return nil, err
	}
	if err := lib.initialize(); err != nil {
		return nil, err
	}
	loaded.libraries[resolved] = lib
	return lib, nil
}

// release ends the library with its last backend.
func (l *library) release() {
	loaded.mu.Lock()
	defer loaded.mu.Unlock()
	if l.refs--; l.refs > 0 {
		return
	}
	delete(loaded.libraries, l.path)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.epoch++
	_ = l.ctx.Finalize() // nothing of this process is left in it
	l.fast.close()
	l.ctx.Destroy()
}

func (l *library) initialize() error {
	err := l.ctx.Initialize()
	if err != nil && !is(err, pkcs11.CKR_CRYPTOKI_ALREADY_INITIALIZED) {
		return translate("initialising the PKCS#11 module", err)
	}
	l.epoch++
	return nil
}

// reinitialize starts the library afresh unless somebody has since the caller's epoch. It waits for calls under way.
func (l *library) reinitialize(seen uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.epoch != seen {
		return nil
	}
	if err := l.ctx.Finalize(); err != nil && !is(err, pkcs11.CKR_CRYPTOKI_NOT_INITIALIZED) {
		return translate("finalising the PKCS#11 module", err)
	}
	return l.initialize()
}

// slot finds the configured token.
func (l *library) slot(c Config) (uint, pkcs11.TokenInfo, error) {
	slots, err := l.ctx.GetSlotList(true)
	if err != nil {
		return 0, pkcs11.TokenInfo{}, translate("listing the module's slots", err)
	}
	var found []uint
	var info pkcs11.TokenInfo
	for _, slot := range slots {
		token, err := l.ctx.GetTokenInfo(slot)
		if err != nil {
			continue // another token that is not well
		}
		if (c.TokenSerial != "" && token.SerialNumber == c.TokenSerial) ||
			(c.TokenSerial == "" && token.Label == c.TokenLabel) {
			found, info = append(found, slot), token
		}
	}
	switch len(found) {
	case 0:
		return 0, info, fmt.Errorf("finding the token %s: %w", c.token(), hsm.ErrGone)
	case 1:
		return found[0], info, nil
	}
	return 0, info, errors.New("finding the token: several are " + c.token() + "; name it by its serial")
}
