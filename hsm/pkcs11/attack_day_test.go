package pkcs11_test

import (
	"crypto/ecdh"
	"crypto/rand"
	"errors"
	"testing"

	raw "github.com/miekg/pkcs11"

	"strongroom.internal/hsm"
)

// TestThiefAtTheKeyOfADay: while it is there, the holder of the PIN may use it, and can neither take it, nor copy it, nor
// change it; once it is destroyed there is nothing left to use, and nothing that they kept opens what it held.
func TestThiefAtTheKeyOfADay(t *testing.T) {
	v := newVictim(t)
	const day = 20_782
	key, err := v.pool.CreateDayKey(t.Context(), day)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := key.Seal([]byte("a key of 32 bytes, more or less."))
	if err != nil {
		t.Fatal(err)
	}
	f := newThief(t, v.token)
	object := f.labelled("strongroom-day")
	for _, secret := range []uint{raw.CKA_VALUE} {
		if got, err := f.p.GetAttributeValue(f.session, object, []*raw.Attribute{a(secret, nil)}); err == nil && len(got[0].Value) > 0 {
			t.Errorf("attribute %#x can be read", secret)
		}
	}
	own := f.ownAES()
	for _, m := range []uint{ckmAESKeyWrap, ckmAESKeyWrapPad} {
		if _, err := f.p.WrapKey(f.session, mechanism(m, nil), own, object); err == nil {
			t.Errorf("it was wrapped by mechanism %#x", m)
		}
		if _, err := f.p.WrapKey(f.session, mechanism(m, nil), f.labelled("strongroom-wrapping"), object); err == nil {
			t.Errorf("it was wrapped under the wrapping key by mechanism %#x", m)
		}
	}
	for _, change := range []*raw.Attribute{
		a(raw.CKA_EXTRACTABLE, true), a(raw.CKA_SENSITIVE, false), a(raw.CKA_LABEL, "mine"), a(raw.CKA_ID, []byte{0, 0, 255, 255}),
		a(raw.CKA_COPYABLE, true), a(raw.CKA_UNWRAP, true),
	} {
		if err := f.p.SetAttributeValue(f.session, object, []*raw.Attribute{change}); err == nil {
			t.Errorf("attribute %#x can be changed", change.Type)
		}
		if twin, err := f.p.CopyObject(f.session, object, []*raw.Attribute{change}); err == nil {
			t.Errorf("it was copied with attribute %#x changed", change.Type)
			_ = f.p.DestroyObject(f.session, twin)
		}
	}
	if twin, err := f.p.CopyObject(f.session, object, []*raw.Attribute{a(raw.CKA_TOKEN, false)}); err == nil {
		t.Error("it was copied to a session")
		_ = f.p.DestroyObject(f.session, twin)
	}

	if err := v.pool.DestroyDayKey(t.Context(), day); err != nil {
		t.Fatal(err)
	}
	if _, there := f.keys()["strongroom-day"]; there {
		t.Error("it is still listed")
	}
	peer, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	exchange := mechanism(raw.CKM_ECDH1_DERIVE, raw.NewECDH1DeriveParams(raw.CKD_NULL, nil, peer.PublicKey().Bytes()))
	if _, err := f.p.DeriveKey(f.session, exchange, object, []*raw.Attribute{
		a(raw.CKA_CLASS, raw.CKO_SECRET_KEY), a(raw.CKA_KEY_TYPE, raw.CKK_GENERIC_SECRET), a(raw.CKA_VALUE_LEN, 32),
		a(raw.CKA_SENSITIVE, false), a(raw.CKA_EXTRACTABLE, true),
	}); err == nil {
		t.Error("a handle that was kept still agrees on secrets")
	}
	if _, err := v.pool.OpenDay(t.Context(), day, sealed); !errors.Is(err, hsm.ErrNoKey) {
		t.Errorf("after its end: %v", err)
	}
}
