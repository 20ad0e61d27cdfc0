package device

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/hpke"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tink-crypto/tink-go/v2/kwp/subtle"

	"strongroom.internal/appliance"
	"strongroom.internal/appliance/account"
	"strongroom.internal/hsm"
)

var update = flag.Bool("update", false, "make the signatures and sealed things of testdata/vectors.json anew")

// vectors are for whoever ports this package. Binary is base64, as encoding/json has it.
type vectors struct {
	Comment string `json:"comment"`
	Key     []byte `json:"key_pkcs8"`
	Public  []byte `json:"public_pkix"`
	SignIn  struct {
		Tenant  string `json:"tenant"`
		Account string `json:"account"`
		ID      string `json:"id"`
		Nonce   []byte `json:"nonce"`
		Device  string `json:"device"`
	} `json:"sign_in"`
	Decisions []struct {
		Allow     bool   `json:"allow"`
		TimeMS    int64  `json:"time_ms"`
		Message   []byte `json:"message"`
		Signature []byte `json:"signature"`
	} `json:"decisions"`
	Denials []struct {
		Reason    string `json:"reason"`
		TimeMS    int64  `json:"time_ms"`
		Message   []byte `json:"message"`
		Signature []byte `json:"signature"`
	} `json:"denials"`
	Fetch struct {
		TimeMS    int64  `json:"time_ms"`
		Message   []byte `json:"message"`
		Signature []byte `json:"signature"`
	} `json:"fetch"`
	TextProof struct {
		Phone     string `json:"phone"`
		Code      string `json:"code"`
		Message   []byte `json:"message"`
		Signature []byte `json:"signature"`
	} `json:"text_proof"`
	Trust struct {
		Challenge []byte `json:"challenge"`
		TimeMS    int64  `json:"time_ms"`
		Message   []byte `json:"message"`
		Signature []byte `json:"signature"`
	} `json:"trust"`
	Reset []struct {
		Present   bool   `json:"present"`
		TimeMS    int64  `json:"time_ms"`
		Message   []byte `json:"message"`
		Signature []byte `json:"signature"`
	} `json:"password_resets"`
	Recovery []struct {
		Cancel    bool   `json:"cancel"`
		TimeMS    int64  `json:"time_ms"`
		Message   []byte `json:"message"`
		Signature []byte `json:"signature"`
	} `json:"recoveries"`
	Seed struct {
		Version   uint32 `json:"version"`
		Ephemeral []byte `json:"ephemeral"`
		Wrapped   []byte `json:"wrapped"`
		Seed      []byte `json:"seed"`
	} `json:"seed"`
	Code struct {
		N      uint32 `json:"n"`
		Sealed []byte `json:"sealed"`
		Digits string `json:"digits"`
	} `json:"code"`
	Settings []struct {
		Unix int64  `json:"unix"`
		Code string `json:"code"`
	} `json:"settings"`
}

func (v *vectors) signIn() SignIn {
	return SignIn{v.SignIn.Tenant, v.SignIn.Account, v.SignIn.ID, v.SignIn.Nonce, v.SignIn.Device}
}

func (v *vectors) recovery() Recovery {
	return Recovery{v.SignIn.Tenant, v.SignIn.Account, v.SignIn.ID, v.SignIn.Nonce, v.SignIn.Device}
}

func (v *vectors) binding() Binding {
	return Binding{v.SignIn.Tenant, v.SignIn.Account, v.SignIn.Device, v.Seed.Version}
}

func load(t *testing.T) (*vectors, *Key) {
	t.Helper()
	path := filepath.Join("testdata", "vectors.json")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	v := &vectors{}
	if err := json.Unmarshal(raw, v); err != nil {
		t.Fatal(err)
	}
	key, err := ParseKey(v.Key)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		v.renew(t, key)
		raw, err := json.MarshalIndent(v, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, append(raw, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return v, key
}

// renew makes what is random anew, from the appliance's side.
func (v *vectors) renew(t *testing.T, k *Key) {
	t.Helper()
	s := v.signIn()
	v.Public = k.Public()
	var err error
	sign := func(m []byte) []byte {
		signature, err := k.signMessage(m)
		if err != nil {
			t.Fatal(err)
		}
		return signature
	}
	for i := range v.Decisions {
		d := &v.Decisions[i]
		d.Message = DecisionMessage(s, d.Allow, d.TimeMS)
		d.Signature = sign(d.Message)
	}
	for i := range v.Denials {
		d := &v.Denials[i]
		d.Message = DenialMessage(s, d.Reason, d.TimeMS)
		d.Signature = sign(d.Message)
	}
	v.Fetch.Message = FetchMessage(s, v.Fetch.TimeMS)
	v.Fetch.Signature = sign(v.Fetch.Message)
	v.TextProof.Message = TextProofMessage(s, v.TextProof.Phone, v.TextProof.Code)
	v.TextProof.Signature = sign(v.TextProof.Message)
	v.Trust.Message = TrustMessage(v.binding(), v.Trust.Challenge, v.Trust.TimeMS)
	v.Trust.Signature = sign(v.Trust.Message)
	for i := range v.Reset {
		q := &v.Reset[i]
		q.Message = ResetMessage(s, q.Present, q.TimeMS)
		q.Signature = sign(q.Message)
	}
	for i := range v.Recovery {
		q := &v.Recovery[i]
		q.Message = RecoveryMessage(v.recovery(), q.Cancel, q.TimeMS)
		q.Signature = sign(q.Message)
	}
	v.Seed.Ephemeral, v.Seed.Wrapped = seal(t, k, v.binding(), v.Seed.Seed)
	public, err := hpke.NewDHKEMPublicKey(k.agree.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	info := appliance.CodeInfo(s.Tenant, s.Account, s.ID, s.Device, v.Code.N)
	if v.Code.Sealed, err = hpke.Seal(public, hpke.HKDFSHA256(), hpke.AES256GCM(), info, []byte(v.Code.Digits)); err != nil {
		t.Fatal(err)
	}
}

// seal does what a module does when it enrols a device.
func seal(t *testing.T, k *Key, b Binding, seed []byte) (ephemeral, wrapped []byte) {
	t.Helper()
	e, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	x, err := e.ECDH(k.agree.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(x)
	if err != nil {
		t.Fatal(err)
	}
	context := hsm.EnvelopeContext(hsm.Binding(b), k.agree.PublicKey().Bytes(), e.PublicKey().Bytes())
	wrapping := make([]byte, len(context))
	cipher.NewCBCEncrypter(block, make([]byte, aes.BlockSize)).CryptBlocks(wrapping, context[:])
	w, err := subtle.NewKWP(wrapping)
	if err != nil {
		t.Fatal(err)
	}
	if wrapped, err = w.Wrap(seed); err != nil {
		t.Fatal(err)
	}
	return e.PublicKey().Bytes(), wrapped
}

// TestVectors: the messages, byte by byte, are those of the vectors and of the appliance.
func TestVectors(t *testing.T) {
	v, k := load(t)
	s := v.signIn()
	x := &account.SignIn{ID: s.ID, Nonce: s.Nonce}
	same := func(what string, got ...[]byte) {
		t.Helper()
		for _, g := range got[1:] {
			if !bytes.Equal(got[0], g) {
				t.Errorf("%s:\n%x\n%x", what, got[0], g)
			}
		}
	}
	verify := func(what string, message, signature []byte) {
		t.Helper()
		if sum := sha256.Sum256(message); !ecdsa.VerifyASN1(&k.sign.PublicKey, sum[:], signature) {
			t.Errorf("%s: the signature is not the key's", what)
		}
	}
	same("public key", v.Public, k.Public())
	if len(v.Decisions) < 2 || len(v.Denials) < 2 || len(v.Settings) < 3 {
		t.Fatal("vectors are missing")
	}
	for _, d := range v.Decisions {
		theirs := account.DecisionMessage(s.Tenant, s.Account, x, &account.Decide{Device: s.Device, Allow: d.Allow, Time: account.Time(d.TimeMS)})
		same("decision", d.Message, DecisionMessage(s, d.Allow, d.TimeMS), theirs)
		verify("decision", d.Message, d.Signature)
	}
	for _, d := range v.Denials {
		reason, ok := account.ParseDenyReason(d.Reason)
		theirs := account.DecisionMessage(s.Tenant, s.Account, x, &account.Decide{Device: s.Device, Reason: reason, Time: account.Time(d.TimeMS)})
		same("denial", d.Message, DenialMessage(s, d.Reason, d.TimeMS), theirs)
		verify("denial", d.Message, d.Signature)
		if _, err := k.Deny(s, d.Reason, time.Now()); !ok || err != nil {
			t.Errorf("%q: %v", d.Reason, err)
		}
	}
	if _, err := k.Deny(s, "", time.Now()); err == nil {
		t.Error("Don't Allow with a reason is signed without one")
	}
	theirs := account.FetchMessage(s.Tenant, s.Account, x, &account.Fetch{Device: s.Device, Time: account.Time(v.Fetch.TimeMS)})
	same("fetch", v.Fetch.Message, FetchMessage(s, v.Fetch.TimeMS), theirs)
	verify("fetch", v.Fetch.Message, v.Fetch.Signature)
	if len(v.Reset) < 2 || len(v.Recovery) < 2 {
		t.Fatal("vectors are missing")
	}
	for _, q := range v.Reset {
		theirs := account.ResetMessage(s.Tenant, s.Account, x, &account.ResetPassword{Device: s.Device, Present: q.Present, Time: account.Time(q.TimeMS)})
		same("password reset", q.Message, ResetMessage(s, q.Present, q.TimeMS), theirs)
		verify("password reset", q.Message, q.Signature)
	}
	for _, q := range v.Recovery {
		theirs := account.RecoveryMessage(s.Tenant, s.Account, &account.Recovery{ID: s.ID, Nonce: s.Nonce},
			&account.RecoverySigned{Device: s.Device, Time: account.Time(q.TimeMS)}, q.Cancel)
		same("recovery", q.Message, RecoveryMessage(v.recovery(), q.Cancel, q.TimeMS), theirs)
		verify("recovery", q.Message, q.Signature)
	}
	p := v.TextProof
	same("text proof", p.Message, TextProofMessage(s, p.Phone, p.Code),
		appliance.TextProofMessage(s.Tenant, s.Account, s.ID, s.Nonce, p.Phone, p.Code))
	verify("text proof", p.Message, p.Signature)
	q := v.Trust
	same("trust", q.Message, TrustMessage(v.binding(), q.Challenge, q.TimeMS), account.TrustMessage(s.Tenant, s.Account, &account.CheckDevice{
		Device: s.Device, Challenge: q.Challenge, Time: account.Time(q.TimeMS),
	}))
	verify("trust", q.Message, q.Signature)
	timeMS, signature, err := k.ProveTrust(v.binding(), q.Challenge, time.UnixMilli(q.TimeMS))
	if err != nil || timeMS != q.TimeMS {
		t.Errorf("proving trust at %d: %v", timeMS, err)
	}
	verify("trust that is proved", q.Message, signature)

	seed, err := k.OpenSeed(v.binding(), v.Seed.Ephemeral, v.Seed.Wrapped)
	if err != nil || !bytes.Equal(seed.Reveal(), v.Seed.Seed) {
		t.Fatalf("the seed: %v", err)
	}
	private, err := k.sign.ECDH()
	if err != nil {
		t.Fatal(err)
	}
	other, err := hsm.OpenEnvelope(private, hsm.Binding(v.binding()), hsm.Envelope{Ephemeral: v.Seed.Ephemeral, Wrapped: v.Seed.Wrapped})
	if err != nil || !bytes.Equal(other.Reveal(), v.Seed.Seed) {
		t.Errorf("the module's own reading of the envelope: %v", err)
	}
	code, err := k.OpenCode(s, v.Code.N, v.Code.Sealed)
	if err != nil || code != v.Code.Digits {
		t.Errorf("the code: %q, %v", code, err)
	}
	for _, c := range v.Settings {
		if got, left := seed.Code(time.Unix(c.Unix, 0)); got != c.Code || left <= 0 || left > Period {
			t.Errorf("at %d the settings show %s for %v, want %s", c.Unix, got, left, c.Code)
		}
	}
}

// TestNothingElseOpens: another device, account, sign-in, number, binding, or a byte that was changed.
func TestNothingElseOpens(t *testing.T) {
	v, k := load(t)
	other, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	changed := func(b []byte, at int) []byte {
		c := bytes.Clone(b)
		c[at] ^= 1
		return c
	}
	for what, try := range map[string]func() error{
		"another key's code": func() error { _, err := other.OpenCode(v.signIn(), v.Code.N, v.Code.Sealed); return err },
		"another number":     func() error { _, err := k.OpenCode(v.signIn(), v.Code.N+1, v.Code.Sealed); return err },
		"another sign-in": func() error {
			s := v.signIn()
			s.ID += "x"
			_, err := k.OpenCode(s, v.Code.N, v.Code.Sealed)
			return err
		},
		"another account": func() error {
			s := v.signIn()
			s.Tenant, s.Account = s.Tenant+s.Account[:1], s.Account[1:]
			_, err := k.OpenCode(s, v.Code.N, v.Code.Sealed)
			return err
		},
		"a changed code":  func() error { _, err := k.OpenCode(v.signIn(), v.Code.N, changed(v.Code.Sealed, 70)); return err },
		"a changed point": func() error { _, err := k.OpenCode(v.signIn(), v.Code.N, changed(v.Code.Sealed, 5)); return err },
		"an empty code":   func() error { _, err := k.OpenCode(v.signIn(), v.Code.N, nil); return err },
		"another key's seed": func() error {
			_, err := other.OpenSeed(v.binding(), v.Seed.Ephemeral, v.Seed.Wrapped)
			return err
		},
		"another binding": func() error {
			b := v.binding()
			b.Version++
			_, err := k.OpenSeed(b, v.Seed.Ephemeral, v.Seed.Wrapped)
			return err
		},
		"a changed seed": func() error {
			_, err := k.OpenSeed(v.binding(), v.Seed.Ephemeral, changed(v.Seed.Wrapped, 9))
			return err
		},
		"no point":      func() error { _, err := k.OpenSeed(v.binding(), v.Seed.Ephemeral[:64], v.Seed.Wrapped); return err },
		"an empty seed": func() error { _, err := k.OpenSeed(v.binding(), v.Seed.Ephemeral, nil); return err },
	} {
		if err := try(); !errors.Is(err, ErrSealed) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestKeysComeBack(t *testing.T) {
	k, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	kept, err := k.MarshalPrivate()
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseKey(kept)
	if err != nil || !bytes.Equal(again.Public(), k.Public()) {
		t.Errorf("%v", err)
	}
	for _, bad := range [][]byte{nil, []byte("rubbish"), k.Public()} {
		if _, err := ParseKey(bad); err == nil {
			t.Errorf("%x is a key", bad)
		}
	}
	if _, err := NewSeed(make([]byte, 20)); err == nil {
		t.Error("20 bytes are a seed")
	}
}

func FuzzOpenSeed(f *testing.F) {
	k, err := NewKey()
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte{4}, []byte("wrapped"))
	f.Fuzz(func(t *testing.T, ephemeral, wrapped []byte) {
		if _, err := k.OpenSeed(Binding{}, ephemeral, wrapped); err == nil {
			t.Error("opened")
		}
	})
}

func FuzzOpenCode(f *testing.F) {
	k, err := NewKey()
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte("sealed"))
	f.Fuzz(func(t *testing.T, sealed []byte) {
		if _, err := k.OpenCode(SignIn{}, 1, sealed); err == nil {
			t.Error("opened")
		}
	})
}
