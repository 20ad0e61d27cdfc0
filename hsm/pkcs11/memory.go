package pkcs11

/*
#include <stdlib.h>
*/
import "C"

import (
	"encoding/binary"
	"unsafe"

	"github.com/miekg/pkcs11"
)

// arena is C memory for parameters that hold pointers: miekg/pkcs11 copies a parameter's own bytes but can't follow what
// they point at. free ends all of it.
type arena []unsafe.Pointer

func (a *arena) bytes(b []byte) uintptr {
	p := C.CBytes(b)
	*a = append(*a, p)
	return uintptr(p)
}

func (a *arena) free() {
	for _, p := range *a {
		C.free(p)
	}
	*a = nil
}

// template encodes a CK_ATTRIBUTE array, for CKA_UNWRAP_TEMPLATE and its like.
func (a *arena) template(kind uint, attributes []*pkcs11.Attribute) *pkcs11.Attribute {
	var array []byte
	for _, attribute := range attributes {
		array = appendWord(array, uint64(attribute.Type))
		array = appendWord(array, uint64(a.bytes(attribute.Value)))
		array = appendWord(array, uint64(len(attribute.Value)))
	}
	return pkcs11.NewAttribute(kind, array)
}

// cbcEncryptData encodes CK_AES_CBC_ENCRYPT_DATA_PARAMS with a zero IV (PKCS#11 v2.40 Current Mechanisms, Section 2.15).
func (a *arena) cbcEncryptData(data []byte) []byte {
	params := make([]byte, 16, 32)
	params = appendWord(params, uint64(a.bytes(data)))
	return appendWord(params, uint64(len(data)))
}

// appendWord appends a CK_ULONG or a pointer as this machine's C has them.
func appendWord(b []byte, v uint64) []byte {
	if C.sizeof_long == 8 {
		return binary.NativeEndian.AppendUint64(b, v)
	}
	return binary.NativeEndian.AppendUint32(b, uint32(v))
}
