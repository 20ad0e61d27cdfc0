package pkcs11

import (
	"errors"
	"fmt"

	"github.com/miekg/pkcs11"

	"strongroom.internal/hsm"
)

// translate says what a return value means to the Pool. What is in no class is a refusal of the one operation.
func translate(doing string, err error) error {
	if err == nil {
		return nil
	}
	var code pkcs11.Error
	if !errors.As(err, &code) {
		return fmt.Errorf("%s: %w", doing, err)
	}
	if class := classOf(code); class != nil {
		return fmt.Errorf("%s: %w (%s)", doing, class, name(code))
	}
	return fmt.Errorf("%s: the module answers %s", doing, name(code))
}

func classOf(code pkcs11.Error) error {
	switch code {
	case pkcs11.CKR_DEVICE_ERROR, pkcs11.CKR_DEVICE_REMOVED, pkcs11.CKR_TOKEN_NOT_PRESENT,
		pkcs11.CKR_TOKEN_NOT_RECOGNIZED, pkcs11.CKR_CRYPTOKI_NOT_INITIALIZED, pkcs11.CKR_SLOT_ID_INVALID,
		pkcs11.CKR_GENERAL_ERROR:
		return hsm.ErrGone
	case pkcs11.CKR_SESSION_HANDLE_INVALID, pkcs11.CKR_SESSION_CLOSED, pkcs11.CKR_OBJECT_HANDLE_INVALID,
		pkcs11.CKR_KEY_HANDLE_INVALID, pkcs11.CKR_OPERATION_ACTIVE, pkcs11.CKR_OPERATION_NOT_INITIALIZED,
		pkcs11.CKR_USER_NOT_LOGGED_IN, pkcs11.CKR_WRAPPING_KEY_HANDLE_INVALID,
		pkcs11.CKR_UNWRAPPING_KEY_HANDLE_INVALID:
		return hsm.ErrSession
	case pkcs11.CKR_PIN_INCORRECT, pkcs11.CKR_PIN_LOCKED, pkcs11.CKR_PIN_EXPIRED, pkcs11.CKR_PIN_INVALID,
		pkcs11.CKR_PIN_LEN_RANGE:
		return hsm.ErrPIN
	case pkcs11.CKR_SIGNATURE_INVALID, pkcs11.CKR_SIGNATURE_LEN_RANGE:
		return hsm.ErrTag
	case pkcs11.CKR_KEY_NOT_WRAPPABLE:
		return hsm.ErrUntrusted
	case pkcs11.CKR_SESSION_COUNT:
		return hsm.ErrBusy
	}
	return nil
}

// is says whether err is one of the codes.
func is(err error, codes ...pkcs11.Error) bool {
	var code pkcs11.Error
	if !errors.As(err, &code) {
		return false
	}
	for _, c := range codes {
		if c == code {
			return true
		}
	}
	return false
}

// name keeps the vendor's code and nothing else: messages of a library may quote what it was given.
func name(code pkcs11.Error) string { return fmt.Sprintf("CKR %#x", uint(code)) }
