package pkcs11

/*
#cgo LDFLAGS: -ldl
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

// The first members of CK_FUNCTION_LIST (PKCS#11 v2.40, Section 5.2), whose order is the standard's.
typedef unsigned long rv;
typedef unsigned long ulong_t;
typedef struct { ulong_t mechanism; void *parameter; ulong_t length; } mechanism;
typedef struct { unsigned char version[2]; void *functions[50]; } function_list;
enum { SIGN_INIT = 42, SIGN = 43, VERIFY_INIT = 48, VERIFY = 49 };

typedef rv (*init_function)(ulong_t session, mechanism *m, ulong_t key);
typedef rv (*sign_function)(ulong_t session, unsigned char *data, ulong_t n, unsigned char *out, ulong_t *out_n);
typedef rv (*verify_function)(ulong_t session, unsigned char *data, ulong_t n, unsigned char *tag, ulong_t tag_n);

static rv function_list_of(void *library, function_list **list) {
	rv (*get)(function_list **) = (rv (*)(function_list **))dlsym(library, "C_GetFunctionList");
	return get == NULL ? 0x54 : get(list); // 0x54: CKR_FUNCTION_NOT_SUPPORTED
}

// macs signs count messages of size bytes each, one after the other, into out, mac_size bytes each.
static rv macs(function_list *list, ulong_t session, ulong_t key, ulong_t mech,
		unsigned char *messages, ulong_t count, ulong_t size, unsigned char *out, ulong_t mac_size) {
	init_function init = (init_function)list->functions[SIGN_INIT];
	sign_function sign = (sign_function)list->functions[SIGN];
	mechanism m = { mech, NULL, 0 };
	for (ulong_t i = 0; i < count; i++) {
		rv r = init(session, &m, key);
		if (r != 0) return r;
		ulong_t n = mac_size;
		r = sign(session, messages + i * size, size, out + i * mac_size, &n);
		if (r != 0) return r;
		if (n != mac_size) return 0x30; // CKR_DEVICE_ERROR
	}
	return 0;
}

static rv check(function_list *list, ulong_t session, ulong_t key, ulong_t mech,
		unsigned char *data, ulong_t n, unsigned char *tag, ulong_t tag_n) {
	init_function init = (init_function)list->functions[VERIFY_INIT];
	verify_function verify = (verify_function)list->functions[VERIFY];
	mechanism m = { mech, NULL, 0 };
	rv r = init(session, &m, key);
	return r != 0 ? r : verify(session, data, n, tag, tag_n);
}
*/
import "C"

import (
	"errors"
	"unsafe"

	"github.com/miekg/pkcs11"
)

// shim is the hot path of a verification: several MACs, or a tag, in one crossing from Go to C. It calls the library
// that miekg/pkcs11 has loaded; everything else goes through miekg/pkcs11.
type shim struct {
	library unsafe.Pointer
	list    *C.function_list
}

func openShim(path string) (*shim, error) {
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	s := &shim{library: C.dlopen(name, C.RTLD_NOW)}
	if s.library == nil {
		return nil, errors.New("loading the PKCS#11 module: the dynamic linker refuses it")
	}
	if r := C.function_list_of(s.library, &s.list); r != 0 {
		return nil, translate("reading the PKCS#11 module's functions", pkcs11.Error(r))
	}
	return s, nil
}

func (s *shim) close() { C.dlclose(s.library) }

// macs computes a MAC of each message. All messages have the length of the first.
func (s *shim) macs(session, key, mechanism uint, messages [][]byte, size int) ([][]byte, error) {
	if len(messages) == 0 {
		return nil, nil
	}
	length := len(messages[0])
	in := make([]byte, 0, len(messages)*length+1)
	for _, m := range messages {
		if len(m) != length {
			return nil, errors.New("computing MACs: the messages differ in length")
		}
		in = append(in, m...)
	}
	in = in[:cap(in)] // never empty, so that its address may be taken
	out := make([]byte, len(messages)*size)
	r := C.macs(s.list, C.ulong_t(session), C.ulong_t(key), C.ulong_t(mechanism),
		(*C.uchar)(unsafe.Pointer(&in[0])), C.ulong_t(len(messages)), C.ulong_t(length),
		(*C.uchar)(unsafe.Pointer(&out[0])), C.ulong_t(size))
	if r != 0 {
		return nil, pkcs11.Error(r)
	}
	result := make([][]byte, len(messages))
	for i := range result {
		result[i] = out[i*size : (i+1)*size : (i+1)*size]
	}
	return result, nil
}

// check has the module verify a MAC.
func (s *shim) check(session, key, mechanism uint, data, tag []byte) error {
	if len(data) == 0 || len(tag) == 0 {
		return pkcs11.Error(pkcs11.CKR_SIGNATURE_LEN_RANGE)
	}
	r := C.check(s.list, C.ulong_t(session), C.ulong_t(key), C.ulong_t(mechanism),
		(*C.uchar)(unsafe.Pointer(&data[0])), C.ulong_t(len(data)), (*C.uchar)(unsafe.Pointer(&tag[0])), C.ulong_t(len(tag)))
	if r != 0 {
		return pkcs11.Error(r)
	}
	return nil
}
