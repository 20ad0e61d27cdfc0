// Package pkcs11 is the hsm.Backend for any PKCS#11 v2.40 module (Cryptoki).
//
// Cryptoki's state is the process's: a library is initialised once, a login holds for all of the process's sessions, and
// C_Finalize ends everything for everybody. A library is therefore shared by the backends that use it; re-initialising
// it counts an epoch, and sessions of an older epoch are dead.
package pkcs11

import (
	"errors"
	"fmt"
	"path/filepath"

	"strongroom.internal/hsm"
)

// Config says which token to use and how to open it.
type Config struct {
	// Module is the absolute path of the vendor's library.
	Module string
	// TokenLabel names the token; TokenSerial does too, and wins when both are given. One is required.
	TokenLabel  string
	TokenSerial string
	// PIN reads the user's PIN; it is called once for each login, and what it returns is destroyed after it.
	PIN func() (*hsm.Secret, error)
}

// Validate reports everything that is wrong.
func (c Config) Validate() error {
	var problems []error
	if !filepath.IsAbs(c.Module) {
		problems = append(problems, errors.New("the module's path must be absolute"))
	}
	if c.TokenLabel == "" && c.TokenSerial == "" {
		problems = append(problems, errors.New("the token's label or serial is missing"))
	}
	if c.PIN == nil {
		problems = append(problems, errors.New("there is no way to read the PIN"))
	}
	return errors.Join(problems...)
}

func (c Config) token() string {
	if c.TokenSerial != "" {
		return fmt.Sprintf("with serial %q", c.TokenSerial)
	}
	return fmt.Sprintf("labelled %q", c.TokenLabel)
}
