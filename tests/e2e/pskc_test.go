package e2e

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
)

// pskcFile is what a maker ships: RFC 6030, Section 6.1, with AES-128-CBC and HMAC-SHA1.
func pskcFile(t *testing.T, key []byte, tokens []importToken) string {
	t.Helper()
	block, err := aes.NewCipher(key)
	check(t, err)
	sealed := func(plain []byte) []byte {
		pad := aes.BlockSize - len(plain)%aes.BlockSize
		plain = append(bytes.Clone(plain), bytes.Repeat([]byte{byte(pad)}, pad)...)
		iv := make([]byte, aes.BlockSize)
		_, _ = rand.Read(iv)
		out := make([]byte, len(plain))
		cipher.NewCBCEncrypter(block, iv).CryptBlocks(out, plain)
		return append(iv, out...)
	}
	value := func(element string, b []byte) string {
		return fmt.Sprintf(`<%[1]s><xenc:EncryptionMethod Algorithm="http://www.w3.org/2001/04/xmlenc#aes128-cbc"/>`+
			`<xenc:CipherData><xenc:CipherValue>%[2]s</xenc:CipherValue></xenc:CipherData></%[1]s>`, element, base64.StdEncoding.EncodeToString(b))
	}
	macKey := make([]byte, 20)
	_, _ = rand.Read(macKey)
	var b strings.Builder
	b.WriteString(`<?xml version="1.0" encoding="UTF-8"?>
<KeyContainer Version="1.0" xmlns="urn:ietf:params:xml:ns:keyprov:pskc" xmlns:xenc="http://www.w3.org/2001/04/xmlenc#"
  xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><EncryptionKey><ds:KeyName>maker</ds:KeyName></EncryptionKey>
<MACMethod Algorithm="http://www.w3.org/2000/09/xmldsig#hmac-sha1">` + value("MACKey", sealed(macKey)) + "</MACMethod>\n")
	for _, x := range tokens {
		secret := sealed(x.seed)
		mac := hmac.New(sha1.New, macKey)
		mac.Write(secret)
		fmt.Fprintf(&b, `<KeyPackage><DeviceInfo><Manufacturer>Maker</Manufacturer><SerialNo>%[1]s</SerialNo></DeviceInfo>`+
			`<Key Id="%[1]s" Algorithm="urn:ietf:params:xml:ns:keyprov:pskc:hotp"><AlgorithmParameters><ResponseFormat Length="8" Encoding="DECIMAL"/>`+
			`</AlgorithmParameters><Data><Secret>%[2]s<ValueMAC>%[3]s</ValueMAC></Secret><Counter><PlainValue>0</PlainValue></Counter></Data></Key></KeyPackage>`+"\n",
			x.serial, value("EncryptedValue", secret), base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	b.WriteString("</KeyContainer>\n")
	return b.String()
}
