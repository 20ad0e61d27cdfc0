package pkcs11_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"testing"

	raw "github.com/miekg/pkcs11"

	"strongroom.internal/hsm"
	"strongroom.internal/hsm/pkcs11"
)

// thief is somebody on the host who has the library and the user's PIN, and none of our code. All that is tried here
// must be refused by the module itself.
type thief struct {
	*testing.T
	p       *raw.Ctx
	slot    uint
	session raw.SessionHandle
}

func newThief(t *testing.T, k token) thief {
	t.Helper()
	p, slot := k.raw(t)
	session, err := p.OpenSession(slot, raw.CKF_SERIAL_SESSION|raw.CKF_RW_SESSION)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.CloseSession(session) })
	if err := p.Login(session, raw.CKU_USER, userPIN); err != nil && !errors.Is(err, raw.Error(raw.CKR_USER_ALREADY_LOGGED_IN)) {
		t.Fatal(err)
	}
	return thief{T: t, p: p, slot: slot, session: session}
}

func a(kind uint, value any) *raw.Attribute { return raw.NewAttribute(kind, value) }

func mechanism(m uint, parameter any) []*raw.Mechanism {
	return []*raw.Mechanism{raw.NewMechanism(m, parameter)}
}

const ckmAESKeyWrap, ckmAESKeyWrapPad = 0x2109, 0x210A

// victim is a token of a cluster: with a sealed seed, loaded and installed keys, and the node's own.
type victim struct {
	token
	pool   *hsm.Pool
	sealed hsm.SealedSeed
}

var victimSeed = []byte("an imported seed that's 32 long.")

func newPool(t *testing.T, k token) (*hsm.Pool, *pkcs11.Backend) {
	t.Helper()
	backend := k.open(t).(*pkcs11.Backend)
	pool := hsm.NewPool(backend, hsm.PoolConfig{})
	t.Cleanup(func() { _ = pool.Close() })
	if err := pool.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return pool, backend
}

func newVictim(t *testing.T) victim {
	t.Helper()
	v := victim{token: newToken(t)}
	v.pool, _ = newPool(t, v.token)
	place := hsm.Binding{Tenant: "t", Account: "a", Credential: "c", Version: 1}
	err := v.pool.CreateWrappingKey(t.Context())
	if err == nil {
		v.sealed, err = v.pool.ImportSeed(t.Context(), place, hsm.SHA256, hsm.NewSecret(bytes.Clone(victimSeed)))
	}
	if err == nil {
		_, err = v.pool.MAC(t.Context(), []hsm.Evaluation{{Binding: place, Seed: v.sealed, Messages: [][]byte{{1}}}})
	}
	for _, name := range []hsm.KeyName{hsm.KeyIdentity, hsm.KeyLog} {
		if err == nil {
			_, err = v.pool.CreateNodeKey(t.Context(), name)
		}
	}
	var keys []hsm.SealedKey
	for _, name := range []hsm.KeyName{hsm.KeyAuthority, hsm.KeyCode} {
		if err == nil {
			var key hsm.SealedKey
			key, err = v.pool.GenerateClusterKey(t.Context(), name, 1)
			keys = append(keys, key)
		}
	}
	if err == nil {
		err = v.pool.InstallClusterKeys(t.Context(), keys)
	}
	if err == nil {
		_, err = v.pool.CreateTransportKey(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// keys lists every secret and private key that the thief sees, ours by label, those in sessions by number.
func (f thief) keys() map[string]raw.ObjectHandle {
	f.Helper()
	keys := make(map[string]raw.ObjectHandle)
	for _, class := range []uint{raw.CKO_SECRET_KEY, raw.CKO_PRIVATE_KEY} {
		if err := f.p.FindObjectsInit(f.session, []*raw.Attribute{a(raw.CKA_CLASS, class)}); err != nil {
			f.Fatal(err)
		}
		found, _, err := f.p.FindObjects(f.session, 100)
		if err := errors.Join(err, f.p.FindObjectsFinal(f.session)); err != nil {
			f.Fatal(err)
		}
		for _, key := range found {
			name := fmt.Sprintf("session object %d", key)
			if label, err := f.p.GetAttributeValue(f.session, key, []*raw.Attribute{a(raw.CKA_LABEL, nil)}); err == nil && len(label[0].Value) > 0 {
				name = string(label[0].Value)
			}
			keys[name] = key
		}
	}
	return keys
}

func (f thief) labelled(label string) raw.ObjectHandle {
	f.Helper()
	key, ok := f.keys()[label]
	if !ok {
		f.Fatalf("there is no %s", label)
	}
	return key
}

// ownAES is a wrapping key whose value the thief knows.
func (f thief) ownAES() raw.ObjectHandle {
	f.Helper()
	key, err := f.p.CreateObject(f.session, []*raw.Attribute{
		a(raw.CKA_CLASS, raw.CKO_SECRET_KEY), a(raw.CKA_KEY_TYPE, raw.CKK_AES), a(raw.CKA_VALUE, make([]byte, 32)),
		a(raw.CKA_TOKEN, false), a(raw.CKA_WRAP, true), a(raw.CKA_DECRYPT, true), a(raw.CKA_SENSITIVE, false), a(raw.CKA_EXTRACTABLE, true),
	})
	if err != nil {
		f.Fatal(err)
	}
	return key
}

var ownPair, _ = rsa.GenerateKey(rand.Reader, 2048)

func (f thief) ownRSA(extra ...*raw.Attribute) (raw.ObjectHandle, error) {
	return f.p.CreateObject(f.session, append([]*raw.Attribute{
		a(raw.CKA_CLASS, raw.CKO_PUBLIC_KEY), a(raw.CKA_KEY_TYPE, raw.CKK_RSA), a(raw.CKA_TOKEN, false),
		a(raw.CKA_WRAP, true), a(raw.CKA_MODULUS, ownPair.N.Bytes()), a(raw.CKA_PUBLIC_EXPONENT, []byte{1, 0, 1}),
	}, extra...))
}

// takesOut tries every way to a key's value, and says which worked.
func (f thief) takesOut(key raw.ObjectHandle) error {
	f.Helper()
	for _, kind := range []uint{
		raw.CKA_VALUE, raw.CKA_PRIVATE_EXPONENT, raw.CKA_PRIME_1, raw.CKA_PRIME_2, raw.CKA_COEFFICIENT,
	} {
		values, err := f.p.GetAttributeValue(f.session, key, []*raw.Attribute{a(kind, nil)})
		if err == nil && len(values[0].Value) > 0 {
			return fmt.Errorf("attribute %#x is read: %d bytes", kind, len(values[0].Value))
		}
	}
	own := f.ownAES()
	defer func() { _ = f.p.DestroyObject(f.session, own) }()
	for _, m := range []uint{ckmAESKeyWrapPad, ckmAESKeyWrap, raw.CKM_AES_CBC_PAD} {
		var iv any
		if m == raw.CKM_AES_CBC_PAD {
			iv = make([]byte, 16)
		}
		if _, err := f.p.WrapKey(f.session, mechanism(m, iv), own, key); err == nil {
			return fmt.Errorf("wrapped by a user's AES key, mechanism %#x", m)
		}
	}
	public, err := f.ownRSA()
	if err != nil {
		f.Fatal(err)
	}
	defer func() { _ = f.p.DestroyObject(f.session, public) }()
	oaep := raw.NewOAEPParams(raw.CKM_SHA_1, raw.CKG_MGF1_SHA1, raw.CKZ_DATA_SPECIFIED, nil)
	for m, parameter := range map[uint]any{raw.CKM_RSA_PKCS: nil, raw.CKM_RSA_PKCS_OAEP: oaep} {
		if _, err := f.p.WrapKey(f.session, mechanism(m, parameter), public, key); err == nil {
			return fmt.Errorf("wrapped by a user's RSA key, mechanism %#x", m)
		}
	}
	return nil
}

// A check of the checks: what a thief made readable is taken out.
func TestThiefTakesOutWhatIsReadable(t *testing.T) {
	k := newToken(t)
	newPool(t, k)
	f := newThief(t, k)
	if err := f.takesOut(f.ownAES()); err == nil {
		t.Error("a key that may be read was not taken out")
	}
}

func TestThiefReadsNothing(t *testing.T) {
	f := newThief(t, newVictim(t).token)
	keys := f.keys()
	if len(keys) < 8 { // wrapping, binding, identity, log, transport, the loaded seed, two installed keys
		t.Errorf("the thief sees only %d keys", len(keys))
	}
	for name, key := range keys {
		if err := f.takesOut(key); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// weaker is every attribute whose change would open a key.
var weaker = map[string]*raw.Attribute{
	"SENSITIVE=false":         a(raw.CKA_SENSITIVE, false),
	"EXTRACTABLE=true":        a(raw.CKA_EXTRACTABLE, true),
	"WRAP_WITH_TRUSTED=false": a(raw.CKA_WRAP_WITH_TRUSTED, false),
	"DECRYPT=true":            a(raw.CKA_DECRYPT, true), // the wrapping key would undo RFC 5649 outside, block by block
	"DERIVE=true":             a(raw.CKA_DERIVE, true),
	"TRUSTED=true":            a(raw.CKA_TRUSTED, true),
	"MODIFIABLE=true":         a(raw.CKA_MODIFIABLE, true),
	"COPYABLE=true":           a(raw.CKA_COPYABLE, true),
	"PRIVATE=false":           a(raw.CKA_PRIVATE, false),
	"no UNWRAP_TEMPLATE":      raw.NewAttribute(raw.CKA_UNWRAP_TEMPLATE, []byte{}),
}

// weakens says whether the attribute, set on a key, gives a thief anything.
func (f thief) weakens(key raw.ObjectHandle, change *raw.Attribute) bool {
	now, err := f.p.GetAttributeValue(f.session, key, []*raw.Attribute{a(change.Type, nil)})
	return err != nil || !bytes.Equal(now[0].Value, change.Value)
}

func TestThiefChangesNothing(t *testing.T) {
	f := newThief(t, newVictim(t).token)
	for name, key := range f.keys() {
		for what, change := range weaker {
			if !f.weakens(key, change) {
				continue
			}
			if err := f.p.SetAttributeValue(f.session, key, []*raw.Attribute{change}); err == nil {
				t.Errorf("%s: was changed to %s", name, what)
			}
		}
	}
}

func TestThiefCopiesNothing(t *testing.T) {
	f := newThief(t, newVictim(t).token)
	for name, key := range f.keys() {
		for what, change := range weaker {
			if !f.weakens(key, change) {
				continue
			}
			if twin, err := f.p.CopyObject(f.session, key, []*raw.Attribute{a(raw.CKA_TOKEN, false), change}); err == nil {
				t.Errorf("%s: was copied with %s", name, what)
				_ = f.p.DestroyObject(f.session, twin)
			}
		}
	}
}

// A sealed seed comes back as our code asks for it, or not at all.
func TestThiefUnsealsNothingReadable(t *testing.T) {
	v := newVictim(t)
	f := newThief(t, v.token)
	wrapping := f.labelled("strongroom-wrapping")
	if err := f.unseals(wrapping, v.sealed.Blob); err != nil {
		t.Error(err)
	}
	for _, m := range []uint{raw.CKM_AES_ECB, ckmAESKeyWrap, ckmAESKeyWrapPad} {
		if err := f.p.DecryptInit(f.session, mechanism(m, nil), wrapping); err == nil {
			t.Errorf("the wrapping key decrypts, mechanism %#x", m)
		}
	}
	for _, m := range []uint{raw.CKM_AES_ECB_ENCRYPT_DATA, raw.CKM_AES_CBC_ENCRYPT_DATA} {
		if _, err := f.p.DeriveKey(f.session, mechanism(m, make([]byte, 32)), wrapping, []*raw.Attribute{
			a(raw.CKA_CLASS, raw.CKO_SECRET_KEY), a(raw.CKA_KEY_TYPE, raw.CKK_GENERIC_SECRET), a(raw.CKA_VALUE_LEN, 32),
			a(raw.CKA_TOKEN, false), a(raw.CKA_SENSITIVE, false), a(raw.CKA_EXTRACTABLE, true),
		}); err == nil {
			t.Errorf("a key is derived from the wrapping key, mechanism %#x", m)
		}
	}
}

// unseals tries to unwrap a blob so that it can be taken out.
func (f thief) unseals(with raw.ObjectHandle, blob []byte) error {
	f.Helper()
	yes, no := true, false
	for _, sensitive := range []*bool{nil, &yes, &no} {
		for _, extractable := range []*bool{nil, &yes, &no} {
			for _, keyType := range []uint{raw.CKK_GENERIC_SECRET, raw.CKK_AES} {
				template := []*raw.Attribute{
					a(raw.CKA_CLASS, raw.CKO_SECRET_KEY), a(raw.CKA_KEY_TYPE, keyType), a(raw.CKA_TOKEN, false),
					// As our code has it, so that nothing but the other two is what is refused.
					a(raw.CKA_DERIVE, false), a(raw.CKA_COPYABLE, false),
				}
				if sensitive != nil {
					template = append(template, a(raw.CKA_SENSITIVE, *sensitive))
				}
				if extractable != nil {
					template = append(template, a(raw.CKA_EXTRACTABLE, *extractable))
				}
				template = append(template, a(raw.CKA_MODIFIABLE, false))
				key, err := f.p.UnwrapKey(f.session, mechanism(ckmAESKeyWrapPad, nil), with, blob, template)
				if err != nil {
					continue
				}
				err = f.takesOut(key)
				_ = f.p.DestroyObject(f.session, key)
				if err != nil {
					return fmt.Errorf("a seed, unsealed by a thief: %w", err)
				}
			}
		}
	}
	return nil
}

// Only the security officer makes a key trusted.
func TestThiefTrustsNothing(t *testing.T) {
	v := newVictim(t)
	f := newThief(t, v.token)
	if _, err := f.ownRSA(a(raw.CKA_TRUSTED, true)); err == nil {
		t.Error("a user made a trusted key")
	}
	own, err := f.ownRSA()
	if err != nil {
		t.Fatal(err)
	}
	if err := f.p.SetAttributeValue(f.session, own, []*raw.Attribute{a(raw.CKA_TRUSTED, true)}); err == nil {
		t.Error("a user made a key trusted")
	}
	if _, err := f.p.CopyObject(f.session, own, []*raw.Attribute{a(raw.CKA_TRUSTED, true)}); err == nil {
		t.Error("a user copied a key as trusted")
	}
	if _, err := f.p.GenerateKey(f.session, mechanism(raw.CKM_AES_KEY_GEN, nil), []*raw.Attribute{
		a(raw.CKA_VALUE_LEN, 32), a(raw.CKA_TOKEN, false), a(raw.CKA_WRAP, true), a(raw.CKA_TRUSTED, true),
	}); err == nil {
		t.Error("a user generated a trusted key")
	}
	pin := func() (*hsm.Secret, error) { return secret(userPIN), nil }
	if err := pkcs11.TrustTransportKey(t.Context(), v.config(pin), nil); err == nil {
		t.Error("nothing was trusted")
	}
}
