package account

import (
	"testing"

	"strongroom.internal/appliance/otp"
)

func TestSmoke(t *testing.T) {
	at := Time(1767225600000)
	cmd := func() *Command {
		return &Command{Time: at, Tenant: "acme", Account: "ann", Actor: "spiffe://x", Salt: make([]byte, 16), Node: "n1", Module: "m"}
	}
	c := cmd()
	c.Create = &Create{}
	d := Apply(Policy{}, nil, c)
	t.Logf("%+v %+v", d.Result, d.Entry)
	c = cmd()
	c.Enrol = &Enrol{Door: SealedDoor, Credential: Credential{ID: "d1", Kind: Device, Params: decoy.Params, Seed: []byte{1}, PublicKey: []byte{1}}}
	b := EncodeCommand(c)
	c, err := DecodeCommand(b)
	if err != nil {
		t.Fatal(err)
	}
	d = Apply(Policy{}, d.Next, c)
	t.Logf("%+v %+v", d.Result, d.Entry)
	s, err := DecodeState(EncodeState(d.Next))
	if err != nil {
		t.Fatal(err)
	}
	c = cmd()
	c.Request[0] = 1
	c.Verify = &Verify{Keys: s.Keys, Evaluated: true, Matches: []Match{{"d1", Window(s.Find("d1"), at)[1]}}, MACs: 3}
	d = Apply(Policy{}, s, c)
	d.SetEntry(7)
	t.Logf("%+v %+v", d.Result, d.Entry)
	t.Logf("%+v", d.Next.Requests)
	d = Apply(Policy{}, d.Next, c)
	t.Logf("%+v %+v", d.Result, d.Entry)
	_ = otp.Step(0)
}

func BenchmarkVerify(b *testing.B) {
	at := Time(1767225600000)
	s := &State{Version: 1, Salt: make([]byte, 16), Created: at, Time: at, Keys: 12345678, Credentials: []Credential{{
		ID: "abcdefghijklmnop", Kind: Device, Params: decoy.Params, Seed: make([]byte, 140), SeedVersion: 1, KeyVersion: 1,
		Envelope: make([]byte, 150), Certificate: make([]byte, 500), PublicKey: make([]byte, 91), Name: "Ann's phone", Model: "X", Serial: "S123",
		Added: at, LastUsed: at, Watermark: 1,
	}}}
	raw := EncodeState(s)
	c := &Command{Time: at, Tenant: "acme", Account: "ann@example.org", Actor: "spiffe://strongroom.example/frontend/acme/web", Salt: make([]byte, 16), Node: "n1", Module: "0123456789abcdef", Request: RequestID{1},
		Verify: &Verify{Keys: s.Keys, Evaluated: true, Matches: []Match{{s.Credentials[0].ID, Window(&s.Credentials[0], at)[1]}}, MACs: 3}}
	cmd := EncodeCommand(c)
	b.Logf("state %d command %d", len(raw), len(cmd))
	b.ReportAllocs()
	b.Run("all", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			c, err := DecodeCommand(cmd)
			if err != nil {
				b.Fatal(err)
			}
			s, err := DecodeState(raw)
			if err != nil {
				b.Fatal(err)
			}
			d := Apply(Policy{}, s, c)
			d.SetEntry(9)
			EncodeState(d.Next)
		}
	})
	b.Run("cmd", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			DecodeCommand(cmd)
		}
	})
	b.Run("state", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			DecodeState(raw)
		}
	})
	b.Run("apply", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			Apply(Policy{}, s, c)
		}
	})
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			EncodeState(s)
		}
	})
}
