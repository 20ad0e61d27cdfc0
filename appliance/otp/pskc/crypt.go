package pskc

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"hash"
	"strconv"

	"strongroom.internal/appliance/otp"
)

// ciphers are the encryption algorithms, RFC 6030, Section 6.1: the key's length in bytes and how to decrypt.
var ciphers = map[string]struct {
	key     int
	decrypt func(cipher.Block, []byte) ([]byte, error)
	whole   bool // it has integrity of its own
}{
	nsXenc + "aes128-cbc":       {16, decryptCBC, false},
	nsXenc + "aes192-cbc":       {24, decryptCBC, false},
	nsXenc + "aes256-cbc":       {32, decryptCBC, false},
	nsXenc + "kw-aes128":        {16, unwrap, true},
	nsXenc + "kw-aes192":        {24, unwrap, true},
	nsXenc + "kw-aes256":        {32, unwrap, true},
	nsXenc11 + "kw-aes-128-pad": {16, unwrapPadded, true},
	nsXenc11 + "kw-aes-192-pad": {24, unwrapPadded, true},
	nsXenc11 + "kw-aes-256-pad": {32, unwrapPadded, true},
}

// macs are the MACs of Section 6.1.1, and what PBKDF2 may be built on.
var macs = map[string]func() hash.Hash{
	nsDS + "hmac-sha1": sha1.New,
	"http://www.w3.org/2001/04/xmldsig-more#hmac-sha256": sha256.New,
	"http://www.w3.org/2001/04/xmldsig-more#hmac-sha384": sha512.New384,
	"http://www.w3.org/2001/04/xmldsig-more#hmac-sha512": sha512.New,
}

// derivations are the names of PBKDF2: of the text of Section 6.2, of its Figure 7, and of XML Encryption 1.1.
var derivations = map[string]bool{
	"http://www.rsasecurity.com/rsalabs/pkcs/schemas/pkcs-5#pbkdf2": true,
	nsPKCS5 + "pbkdf2":  true,
	nsXenc11 + "pbkdf2": true,
}

var (
	errPadding = errors.New("its padding is wrong")
	errMAC     = errors.New("its MAC is wrong: the key or password is not this file's, or the file was changed")
	errNoMAC   = errors.New("it is encrypted in CBC mode without a MAC, so that anyone may have changed it")
)

// decryptCBC is XML Encryption, Section 5.2: the initialization vector comes first, and the last byte says how many bytes
// are padding, the others of which may be anything.
func decryptCBC(block cipher.Block, value []byte) ([]byte, error) {
	if len(value) < 2*aes.BlockSize || len(value)%aes.BlockSize != 0 {
		return nil, errPadding
	}
	out := make([]byte, len(value)-aes.BlockSize)
	cipher.NewCBCDecrypter(block, value[:aes.BlockSize]).CryptBlocks(out, value[aes.BlockSize:])
	padding := int(out[len(out)-1])
	if padding < 1 || padding > aes.BlockSize {
		clear(out)
		return nil, errPadding
	}
	n := len(out) - padding
	clear(out[n:])
	return out[:n:n], nil
}

// decryptor decrypts the values of one file.
type decryptor struct {
	key     *otp.Secret
	mac     func() hash.Hash // nil: the file has no MACMethod
	macKey  []byte
	encrypt *node // EncryptionKey
	method  *node // MACMethod
}

// encrypted is an EncryptedValue or a MACKey: the two look alike.
type encrypted struct {
	algorithm string
	value     []byte
}

func parseEncrypted(n *node) (encrypted, error) {
	var f finder
	method := f.one(n, "EncryptionMethod")
	data := f.one(n, "CipherData")
	if f.one(data, "CipherReference") != nil {
		f.fail("its value is not in the file")
	}
	value := f.one(data, "CipherValue")
	if method == nil || value == nil {
		f.fail("it lacks EncryptionMethod or CipherValue")
	}
	if f.err != nil {
		return encrypted{}, f.err
	}
	raw, err := decodeBase64(value)
	return encrypted{method.attrs["algorithm"], raw}, err
}

// decrypt checks the MAC, then decrypts. mac is nil where the value has none.
func (d *decryptor) decrypt(e encrypted, mac []byte) ([]byte, error) {
	c, ok := ciphers[e.algorithm]
	switch {
	case !ok:
		return nil, errors.New("its encryption algorithm is not known")
	case mac == nil && !c.whole:
		return nil, errNoMAC
	case mac != nil && d.mac == nil:
		return nil, errors.New("it has a MAC and the file has no MACMethod")
	}
	if mac != nil {
		h := hmac.New(d.mac, d.macKey)
		h.Write(e.value)
		if !hmac.Equal(h.Sum(nil), mac) {
			return nil, errMAC
		}
	}
	return d.open(e)
}

func (d *decryptor) open(e encrypted) ([]byte, error) {
	c, ok := ciphers[e.algorithm]
	if !ok {
		return nil, errors.New("its encryption algorithm is not known")
	}
	if len(d.key.Reveal()) != c.key {
		return nil, errors.New("the key has " + strconv.Itoa(8*len(d.key.Reveal())) + " bits and its algorithm another number")
	}
	block, err := aes.NewCipher(d.key.Reveal())
	if err != nil {
		return nil, errors.New("the key's length is none of AES")
	}
	return c.decrypt(block, e.value)
}

// ready asks for the key, once, and decrypts the MAC key.
func (d *decryptor) ready(o Options) error {
	if d.key != nil {
		return nil
	}
	if err := d.findKey(o); err != nil {
		return err
	}
	if d.method == nil {
		return nil
	}
	var f finder
	key := f.one(d.method, "MACKey")
	mac, ok := macs[d.method.attrs["algorithm"]]
	switch {
	case f.err != nil:
		return fileError("MACMethod: %v", f.err)
	case !ok:
		return fileError("its MAC algorithm is not known")
	case f.one(d.method, "MACKeyReference") != nil:
		return fileError("its MAC key is not in the file")
	case key == nil:
		return fileError("its MACMethod has no key")
	}
	e, err := parseEncrypted(key)
	if err != nil {
		return fileError("MACKey: %v", err)
	}
	if _, ok := ciphers[e.algorithm]; !ok {
		return fileError("MACKey: its encryption algorithm is not known")
	}
	// It has no MAC itself. One that was changed fails at every value.
	d.macKey, err = d.open(e)
	switch {
	case errors.Is(err, errPadding) || errors.Is(err, errUnwrap):
		return ErrKey
	case err != nil:
		return fileError("MACKey: %v", err)
	case len(d.macKey) == 0: // which anybody could make a MAC with
		return ErrKey
	}
	d.mac = mac
	return nil
}

// findKey is Sections 6.1 and 6.2.
func (d *decryptor) findKey(o Options) (err error) {
	var f finder
	name, derived := f.one(d.encrypt, "KeyName"), f.one(d.encrypt, "DerivedKey")
	switch {
	case f.err != nil:
		return fileError("EncryptionKey: %v", f.err)
	case name != nil && derived == nil:
		if o.Key == nil {
			return fileError("it is encrypted under a key and none is given")
		}
		d.key, err = o.Key(name.String())
		return err
	case derived == nil:
		return fileError("values are encrypted under a key of a kind that is not known: pre-shared keys and passwords are")
	}
	salt, iterations, length, prf, err := derivation(derived)
	if err != nil {
		return err
	}
	if o.Password == nil {
		return fileError("it is encrypted under a password and none is given")
	}
	label := f.text(derived, "MasterKeyName")
	password, err := o.Password(label)
	if err != nil {
		return err
	}
	defer password.Destroy()
	raw, err := pbkdf2.Key(prf, string(password.Reveal()), salt, iterations, length)
	if err != nil {
		return fileError("PBKDF2's parameters can't be used")
	}
	d.key = otp.NewSecret(raw)
	return nil
}

// derivation reads PBKDF2's parameters: PKCS #5 v2.1, Appendix C, as XML.
func derivation(n *node) (salt []byte, iterations, length int, prf func() hash.Hash, err error) {
	var f finder
	method := f.one(n, "KeyDerivationMethod")
	if method == nil || !derivations[method.attrs["algorithm"]] {
		return nil, 0, 0, nil, fileError("its key derivation is not PBKDF2")
	}
	params := f.one(method, "PBKDF2-params")
	specified := f.path(params, "Salt", "Specified")
	if specified == nil {
		return nil, 0, 0, nil, fileError("PBKDF2 has no salt in the file")
	}
	salt, err = decodeBase64(specified)
	if err != nil || len(salt) == 0 || len(salt) > maxSalt {
		return nil, 0, 0, nil, fileError("PBKDF2's salt is not 1 to %d bytes of base64", maxSalt)
	}
	iterations, err1 := strconv.Atoi(f.text(params, "IterationCount"))
	if err1 != nil || iterations < 1 || iterations > MaxIterations {
		return nil, 0, 0, nil, fileError("PBKDF2's iteration count is not 1 to %d", MaxIterations)
	}
	length, err2 := strconv.Atoi(f.text(params, "KeyLength"))
	if err2 != nil || length != 16 && length != 24 && length != 32 {
		return nil, 0, 0, nil, fileError("PBKDF2's key length is not 16, 24 or 32 bytes")
	}
	prf = sha1.New // the default
	if p := f.one(params, "PRF"); p != nil && p.attrs["algorithm"] != "" {
		if prf = macs[p.attrs["algorithm"]]; prf == nil {
			return nil, 0, 0, nil, fileError("PBKDF2's pseudo-random function is not known")
		}
	}
	if f.err != nil {
		return nil, 0, 0, nil, fileError("PBKDF2: %v", f.err)
	}
	return salt, iterations, length, prf, nil
}

// decodeBase64 decodes an element's text, which may be broken into lines.
func decodeBase64(n *node) ([]byte, error) {
	if len(n.text) > maxValue {
		return nil, errors.New("a value is too long")
	}
	compact := make([]byte, 0, len(n.text))
	defer func() { clear(compact) }()
	for _, c := range n.text {
		if !bytes.ContainsRune([]byte(" \t\r\n"), rune(c)) {
			compact = append(compact, c)
		}
	}
	out := make([]byte, base64.StdEncoding.DecodedLen(len(compact)))
	got, err := base64.StdEncoding.Strict().Decode(out, compact)
	if err != nil || got == 0 {
		clear(out)
		return nil, errors.New("a value is not base64")
	}
	return out[:got:got], nil
}

func (d *decryptor) destroy() {
	d.key.Destroy()
	clear(d.macKey)
	d.encrypt.destroy()
	d.method.destroy()
}
