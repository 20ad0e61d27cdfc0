package pkcs11_test

import (
	"crypto/aes"
	"slices"
	"testing"

	raw "github.com/miekg/pkcs11"

	"strongroom.internal/hsm"
	"strongroom.internal/hsm/pkcs11"
)

// A thief at the joiner has its PIN and the package on its way, before our code takes it in.
func TestThiefAtTheJoiner(t *testing.T) {
	v, joiner := newVictim(t), newToken(t)
	pool, backend := newPool(t, joiner)
	transport, err := pool.CreateTransportKey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	v.trust(t, transport)
	pack, err := v.pool.ExportTo(t.Context(), transport)
	if err != nil {
		t.Fatal(err)
	}
	f := newThief(t, joiner)
	key := f.labelled("strongroom-transport")

	t.Run("decrypts the package", func(t *testing.T) {
		for what, change := range weaker {
			if f.weakens(key, change) && f.p.SetAttributeValue(f.session, key, []*raw.Attribute{change}) == nil {
				t.Errorf("the transport key was changed to %s", what)
			}
			if f.weakens(key, change) {
				if twin, err := f.p.CopyObject(f.session, key, []*raw.Attribute{a(raw.CKA_TOKEN, false), change}); err == nil {
					t.Errorf("the transport key was copied with %s", what)
					_ = f.p.DestroyObject(f.session, twin)
				}
			}
		}
		if err := f.p.DecryptInit(f.session, f.oaep(pack), key); err == nil {
			t.Error("the transport key decrypts")
		}
	})
	type attributes []*raw.Attribute
	// asked is what ImportFrom asks for, but for the wrapping key's own unwrap template.
	asked := attributes{
		a(raw.CKA_CLASS, raw.CKO_SECRET_KEY), a(raw.CKA_TOKEN, false), a(raw.CKA_PRIVATE, true),
		a(raw.CKA_SENSITIVE, true), a(raw.CKA_EXTRACTABLE, true), a(raw.CKA_WRAP_WITH_TRUSTED, true),
		a(raw.CKA_ENCRYPT, false), a(raw.CKA_DECRYPT, false), a(raw.CKA_UNWRAP, true), a(raw.CKA_DERIVE, false),
		a(raw.CKA_COPYABLE, false), a(raw.CKA_MODIFIABLE, false),
	}
	unwrap := func(blob []byte, keyType uint, template attributes) (raw.ObjectHandle, error) {
		return f.p.UnwrapKey(f.session, f.oaep(pack), key, blob, append(attributes{a(raw.CKA_KEY_TYPE, keyType)}, template...))
	}
	with := func(changes ...*raw.Attribute) attributes {
		template := slices.Clone(asked)
		for _, change := range changes {
			i := slices.IndexFunc(template, func(a *raw.Attribute) bool { return a.Type == change.Type })
			template[i] = change
		}
		return template
	}
	for name, template := range map[string]attributes{
		"bare":        asked[:2],
		"as we ask":   asked,
		"readable":    with(a(raw.CKA_SENSITIVE, false)),
		"to anybody":  with(a(raw.CKA_WRAP_WITH_TRUSTED, false)),
		"modifiable":  with(a(raw.CKA_MODIFIABLE, true)),
		"copyable":    with(a(raw.CKA_COPYABLE, true)),
		"deriving":    with(a(raw.CKA_DERIVE, true)),
		"decrypting":  with(a(raw.CKA_DECRYPT, true)),
		"all of them": with(a(raw.CKA_SENSITIVE, false), a(raw.CKA_WRAP_WITH_TRUSTED, false), a(raw.CKA_DECRYPT, true)),
	} {
		t.Run("unwraps "+name, func(t *testing.T) {
			f := f
			f.T = t
			if binding, err := unwrap(pack.Binding, raw.CKK_GENERIC_SECRET, template); err == nil {
				if err := f.takesOut(binding); err != nil {
					t.Errorf("the binding key: %v", err)
				}
			}
			wrapping, err := unwrap(pack.Wrapping, raw.CKK_AES, template)
			if err != nil {
				t.Logf("refused: %v", err)
				return
			}
			if err := f.takesOut(wrapping); err != nil {
				t.Errorf("the wrapping key: %v", err)
			}
			f.decryptsNothing(wrapping)
			switch nests, leak := pkcs11.Nests(backend), f.unseals(wrapping, v.sealed.Blob); {
			case nests && leak != nil:
				t.Error(leak)
			case !nests && leak == nil:
				t.Error("the limit that DESIGN.md states is gone: say so there")
			}
			for what, change := range weaker {
				if f.weakens(wrapping, change) && f.p.SetAttributeValue(f.session, wrapping, []*raw.Attribute{change}) == nil {
					t.Errorf("the wrapping key was changed to %s", what)
				}
			}
		})
	}
}

func (f thief) oaep(pack hsm.KeyPackage) []*raw.Mechanism {
	if pack.OAEPHash == "SHA-1" {
		return mechanism(raw.CKM_RSA_PKCS_OAEP, raw.NewOAEPParams(raw.CKM_SHA_1, raw.CKG_MGF1_SHA1, raw.CKZ_DATA_SPECIFIED, nil))
	}
	return mechanism(raw.CKM_RSA_PKCS_OAEP, raw.NewOAEPParams(raw.CKM_SHA256, raw.CKG_MGF1_SHA256, raw.CKZ_DATA_SPECIFIED, nil))
}

// decryptsNothing: with AES block decryption under the wrapping key, RFC 5649 is undone on the host.
func (f thief) decryptsNothing(wrapping raw.ObjectHandle) {
	f.Helper()
	if err := f.p.DecryptInit(f.session, mechanism(raw.CKM_AES_ECB, nil), wrapping); err != nil {
		return
	}
	if _, err := f.p.Decrypt(f.session, make([]byte, aes.BlockSize)); err == nil {
		f.Error("the wrapping key decrypts blocks")
	}
}
