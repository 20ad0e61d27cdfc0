package pkcs11

import (
	"encoding/binary"
	"fmt"

	"github.com/miekg/pkcs11"

	"strongroom.internal/hsm"
)

// Labels of the objects on a token. A version is the object's CKA_ID, four bytes big endian.
const (
	wrappingLabel  = "strongroom-wrapping"
	bindingLabel   = "strongroom-binding"
	transportLabel = "strongroom-transport"
	peerLabel      = "strongroom-transport-of-peer" // a joiner's public key, marked trusted by the security officer
)

// ckmAESKeyWrapPad is CKM_AES_KEY_WRAP_PAD: RFC 5649.
const ckmAESKeyWrapPad = 0x210A

func kwp() []*pkcs11.Mechanism {
	return []*pkcs11.Mechanism{pkcs11.NewMechanism(ckmAESKeyWrapPad, nil)}
}

func attribute(kind uint, value any) *pkcs11.Attribute { return pkcs11.NewAttribute(kind, value) }

func versionID(version uint32) []byte { return binary.BigEndian.AppendUint32(nil, version) }

func named(label string, version uint32, class uint) []*pkcs11.Attribute {
	return []*pkcs11.Attribute{
		attribute(pkcs11.CKA_CLASS, class),
		attribute(pkcs11.CKA_LABEL, label),
		attribute(pkcs11.CKA_ID, versionID(version)),
	}
}

func wrappingKeys() []*pkcs11.Attribute {
	return []*pkcs11.Attribute{
		attribute(pkcs11.CKA_CLASS, pkcs11.CKO_SECRET_KEY),
		attribute(pkcs11.CKA_LABEL, wrappingLabel),
	}
}

// unsealedSeed is what a seed becomes in the module: usable, and never to be taken out.
var unsealedSeed = []*pkcs11.Attribute{
	attribute(pkcs11.CKA_CLASS, pkcs11.CKO_SECRET_KEY),
	attribute(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_GENERIC_SECRET),
	attribute(pkcs11.CKA_TOKEN, false),
	attribute(pkcs11.CKA_PRIVATE, true),
	attribute(pkcs11.CKA_SENSITIVE, true),
	attribute(pkcs11.CKA_EXTRACTABLE, false),
	attribute(pkcs11.CKA_SIGN, true),
	attribute(pkcs11.CKA_VERIFY, false),
	attribute(pkcs11.CKA_DERIVE, false),
	attribute(pkcs11.CKA_COPYABLE, false),
	attribute(pkcs11.CKA_MODIFIABLE, false),
}

// fixed ends every template of a key that stays. Without it a holder of the PIN sets CKA_DECRYPT on the wrapping key, or
// on a copy of it, and undoes RFC 5649 on the host; or derives readable keys.
// CKA_MODIFIABLE is last: SoftHSM takes a template in order, and refuses what follows it at an unwrap.
var fixed = []*pkcs11.Attribute{
	attribute(pkcs11.CKA_DERIVE, false),
	attribute(pkcs11.CKA_COPYABLE, false),
	attribute(pkcs11.CKA_MODIFIABLE, false),
}

// freshSeed is a seed between its birth and its sealing: the only moment at which it may be wrapped.
func freshSeed(extra ...*pkcs11.Attribute) []*pkcs11.Attribute {
	return append([]*pkcs11.Attribute{
		attribute(pkcs11.CKA_CLASS, pkcs11.CKO_SECRET_KEY),
		attribute(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_GENERIC_SECRET),
		attribute(pkcs11.CKA_TOKEN, false),
		attribute(pkcs11.CKA_PRIVATE, true),
		attribute(pkcs11.CKA_SENSITIVE, true),
		attribute(pkcs11.CKA_EXTRACTABLE, true),
		attribute(pkcs11.CKA_SIGN, false),
	}, extra...)
}

// neverOut is the wrapping key's CKA_UNWRAP_TEMPLATE: whatever is unsealed with it can't be taken out again, whoever
// asks. Without it a holder of the PIN unseals a "sensitive" seed as a readable one.
var neverOut = []*pkcs11.Attribute{
	attribute(pkcs11.CKA_SENSITIVE, true),
	attribute(pkcs11.CKA_EXTRACTABLE, false),
	attribute(pkcs11.CKA_DERIVE, false),
	attribute(pkcs11.CKA_COPYABLE, false),
	attribute(pkcs11.CKA_MODIFIABLE, false),
}

// wrappingKeyTemplate is the wrapping key's: it wraps and unwraps, leaves only under a key that the security officer
// marked trusted, and makes what it unseals stay.
func wrappingKeyTemplate(a *arena, version uint32, token bool) []*pkcs11.Attribute {
	return append([]*pkcs11.Attribute{
		attribute(pkcs11.CKA_CLASS, pkcs11.CKO_SECRET_KEY),
		attribute(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_AES),
		attribute(pkcs11.CKA_LABEL, wrappingLabel),
		attribute(pkcs11.CKA_ID, versionID(version)),
		attribute(pkcs11.CKA_TOKEN, token),
		attribute(pkcs11.CKA_PRIVATE, true),
		attribute(pkcs11.CKA_SENSITIVE, true),
		attribute(pkcs11.CKA_EXTRACTABLE, true),
		attribute(pkcs11.CKA_WRAP_WITH_TRUSTED, true),
		attribute(pkcs11.CKA_WRAP, true),
		attribute(pkcs11.CKA_UNWRAP, true),
		attribute(pkcs11.CKA_ENCRYPT, false),
		attribute(pkcs11.CKA_DECRYPT, false),
		attribute(pkcs11.CKA_SIGN, false),
		attribute(pkcs11.CKA_VERIFY, false),
		a.template(pkcs11.CKA_UNWRAP_TEMPLATE, neverOut),
	}, fixed...)
}

// bindingKeyTemplate is the binding key's: it tags records, and moves as the wrapping key does.
func bindingKeyTemplate(token bool) []*pkcs11.Attribute {
	return append([]*pkcs11.Attribute{
		attribute(pkcs11.CKA_CLASS, pkcs11.CKO_SECRET_KEY),
		attribute(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_GENERIC_SECRET),
		attribute(pkcs11.CKA_LABEL, bindingLabel),
		attribute(pkcs11.CKA_ID, versionID(1)),
		attribute(pkcs11.CKA_TOKEN, token),
		attribute(pkcs11.CKA_PRIVATE, true),
		attribute(pkcs11.CKA_SENSITIVE, true),
		attribute(pkcs11.CKA_EXTRACTABLE, true),
		attribute(pkcs11.CKA_WRAP_WITH_TRUSTED, true),
		attribute(pkcs11.CKA_SIGN, true),
		attribute(pkcs11.CKA_VERIFY, true),
		attribute(pkcs11.CKA_ENCRYPT, false),
		attribute(pkcs11.CKA_DECRYPT, false),
		attribute(pkcs11.CKA_WRAP, false),
		attribute(pkcs11.CKA_UNWRAP, false),
	}, fixed...)
}

// hmacOf gives the mechanism and the length of its output.
func hmacOf(h hsm.Hash) (mechanism uint, size int, err error) {
	switch h {
	case hsm.SHA1:
		return pkcs11.CKM_SHA_1_HMAC, 20, nil
	case hsm.SHA256:
		return pkcs11.CKM_SHA256_HMAC, 32, nil
	case hsm.SHA512:
		return pkcs11.CKM_SHA512_HMAC, 64, nil
	}
	return 0, 0, fmt.Errorf("computing a MAC: there is no hash %d", h)
}
