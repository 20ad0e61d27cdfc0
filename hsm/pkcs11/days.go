package pkcs11

import (
	"crypto/ecdh"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/miekg/pkcs11"

	"strongroom.internal/hsm"
)

const dayLabel = "strongroom-day"

// CreateDayKey makes the key of a day on the token. It agrees on secrets and does nothing else; its private half
// is not extractable, and neither copies nor changes are made of it.
func (s *session) CreateDayKey(day uint32) (hsm.DayKey, error) {
	p, err := s.enter()
	if err != nil {
		return hsm.DayKey{}, err
	}
	defer s.leave()
	made := hsm.DayKey{Day: day}
	public, private, err := s.dayKey(p, day)
	if err != nil {
		return hsm.DayKey{}, err
	}
	if public == 0 || private == 0 { // half of one is what a crash left
		if err := s.destroyDay(p, day); err != nil {
			return hsm.DayKey{}, err
		}
		common := []*pkcs11.Attribute{
			attribute(pkcs11.CKA_LABEL, dayLabel), attribute(pkcs11.CKA_ID, versionID(day)), attribute(pkcs11.CKA_TOKEN, true),
		}
		tokenObjects.Lock()
		public, _, err = p.GenerateKeyPair(s.handle,
			[]*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_EC_KEY_PAIR_GEN, nil)},
			append(common[:3:3], attribute(pkcs11.CKA_EC_PARAMS, oidP256), attribute(pkcs11.CKA_VERIFY, false)),
			append(common[:3:3],
				attribute(pkcs11.CKA_PRIVATE, true), attribute(pkcs11.CKA_SENSITIVE, true),
				attribute(pkcs11.CKA_EXTRACTABLE, false), attribute(pkcs11.CKA_DERIVE, true),
				attribute(pkcs11.CKA_DECRYPT, false), attribute(pkcs11.CKA_UNWRAP, false), attribute(pkcs11.CKA_SIGN, false),
				attribute(pkcs11.CKA_COPYABLE, false), attribute(pkcs11.CKA_MODIFIABLE, false)))
		tokenObjects.Unlock()
		if err != nil {
			return hsm.DayKey{}, translate("making the key of a day", err)
		}
	}
	made.Public, err = s.publicDER(p, public)
	return made, err
}

// dayKey finds both halves; 0: that one isn't there. Handles are not remembered: a destroyed key must not be found.
func (s *session) dayKey(p *pkcs11.Ctx, day uint32) (public, private pkcs11.ObjectHandle, err error) {
	for class, handle := range map[uint]*pkcs11.ObjectHandle{pkcs11.CKO_PUBLIC_KEY: &public, pkcs11.CKO_PRIVATE_KEY: &private} {
		found, err := find(p, s.handle, named(dayLabel, day, class))
		if err != nil {
			return 0, 0, err
		}
		if len(found) > 1 {
			return 0, 0, errors.New("finding the key of a day: there are two")
		}
		if len(found) == 1 {
			*handle = found[0]
		}
	}
	return public, private, nil
}

// DayKeys lists the days of which there is a key, or a half of one.
func (s *session) DayKeys() ([]uint32, error) {
	p, err := s.enter()
	if err != nil {
		return nil, err
	}
	defer s.leave()
	found, err := find(p, s.handle, []*pkcs11.Attribute{attribute(pkcs11.CKA_LABEL, dayLabel)})
	if err != nil {
		return nil, err
	}
	var days []uint32
	for _, key := range found {
		values, err := p.GetAttributeValue(s.handle, key, []*pkcs11.Attribute{attribute(pkcs11.CKA_ID, nil)})
		if err != nil {
			return nil, translate("reading a key's day", err)
		}
		if len(values[0].Value) != 4 {
			return nil, errors.New("reading a key's day: its CKA_ID is not of ours")
		}
		days = append(days, binary.BigEndian.Uint32(values[0].Value))
	}
	slices.Sort(days)
	return slices.Compact(days), nil
}

// OpenDay opens what is sealed to the key of a day.
func (s *session) OpenDay(day uint32, sealed []byte) (*hsm.Secret, error) {
	p, err := s.enter()
	if err != nil {
		return nil, err
	}
	defer s.leave()
	public, private, err := s.dayKey(p, day)
	if err != nil {
		return nil, err
	}
	if public == 0 || private == 0 {
		return nil, fmt.Errorf("finding the key of a day: %w", hsm.ErrNoKey)
	}
	point, err := s.point(p, public)
	if err != nil {
		return nil, err
	}
	key, err := ecdh.P256().NewPublicKey(point)
	if err != nil {
		return nil, fmt.Errorf("reading the key of a day: %w", err)
	}
	return hsm.OpenDaySecret(day, &dayExchange{s, p, private, key}, sealed)
}

// dayExchange is a key of a day as an ecdh.KeyExchanger, within one call of its session.
type dayExchange struct {
	s       *session
	p       *pkcs11.Ctx
	private pkcs11.ObjectHandle
	public  *ecdh.PublicKey
}

func (x *dayExchange) PublicKey() *ecdh.PublicKey { return x.public }
func (x *dayExchange) Curve() ecdh.Curve          { return ecdh.P256() }

// ECDH agrees on a secret in the module. It comes out: it is of one sealing, and what was sealed comes out too.
func (x *dayExchange) ECDH(peer *ecdh.PublicKey) ([]byte, error) {
	shared, err := x.p.DeriveKey(x.s.handle,
		[]*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_ECDH1_DERIVE,
			pkcs11.NewECDH1DeriveParams(pkcs11.CKD_NULL, nil, peer.Bytes()))},
		x.private, []*pkcs11.Attribute{
			attribute(pkcs11.CKA_CLASS, pkcs11.CKO_SECRET_KEY), attribute(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_GENERIC_SECRET),
			attribute(pkcs11.CKA_VALUE_LEN, 32), attribute(pkcs11.CKA_TOKEN, false), attribute(pkcs11.CKA_PRIVATE, true),
			attribute(pkcs11.CKA_SENSITIVE, false), attribute(pkcs11.CKA_EXTRACTABLE, true),
		})
	if err != nil {
		return nil, translate("agreeing on the secret of a day", err)
	}
	defer func() { _ = x.p.DestroyObject(x.s.handle, shared) }()
	values, err := x.p.GetAttributeValue(x.s.handle, shared, []*pkcs11.Attribute{attribute(pkcs11.CKA_VALUE, nil)})
	if err != nil {
		return nil, translate("reading the secret of a day", err)
	}
	return values[0].Value, nil
}

// DestroyDayKey destroys both halves, the private one first.
func (s *session) DestroyDayKey(day uint32) error {
	p, err := s.enter()
	if err != nil {
		return err
	}
	defer s.leave()
	return s.destroyDay(p, day)
}

func (s *session) destroyDay(p *pkcs11.Ctx, day uint32) error {
	public, private, err := s.dayKey(p, day)
	if err != nil {
		return err
	}
	tokenObjects.Lock()
	defer tokenObjects.Unlock()
	for _, object := range []pkcs11.ObjectHandle{private, public} {
		if object == 0 {
			continue
		}
		if err := p.DestroyObject(s.handle, object); err != nil {
			return translate("destroying the key of a day", err)
		}
	}
	return nil
}
