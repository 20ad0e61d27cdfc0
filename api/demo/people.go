package demo

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"strings"
)

// person is somebody who has an account.
type person struct {
	Account string `json:"account"`
	Name    string `json:"name"`
	password
}

// password is this service's business: Strongroom never sees it. That of a person is guarded by their home's mu.
type password struct {
	Password string `json:"password"` // in clear for the visitor to read, which only a demo may do
	Rounds   int    `json:"rounds"`
	Salt     []byte `json:"salt"`
	Hash     []byte `json:"hash"`
}

// defaultRounds is OWASP's number for PBKDF2 with SHA-256.
const defaultRounds = 600_000

func hashPassword(password string, salt []byte, rounds int) []byte {
	key, err := pbkdf2.Key(sha256.New, password, salt, rounds, sha256.Size)
	if err != nil {
		panic(err) // only for lengths that make no sense
	}
	return key
}

// newPerson draws somebody.
func newPerson(rounds int) person {
	words := [...]string{
		"amber", "basil", "cedar", "clover", "coral", "delta", "ember", "fern", "harbor", "indigo", "juniper", "lagoon",
		"maple", "meadow", "nectar", "opal", "pebble", "quartz", "river", "saffron", "tundra", "velvet", "willow", "zephyr",
	}
	var b [5]byte
	_, _ = rand.Read(b[:])
	pick := func(i int) string { return words[int(b[i])%len(words)] }
	return person{
		Name:     "Ada Winter",
		Account:  "ada." + strings.ToLower(rand.Text()[:6]) + "@example.com",
		password: newPassword(pick(0)+"-"+pick(1)+"-"+pick(2), rounds),
	}
}

func newPassword(text string, rounds int) password {
	p := password{Password: text, Rounds: rounds, Salt: make([]byte, 16)}
	_, _ = rand.Read(p.Salt)
	p.Hash = hashPassword(text, p.Salt, rounds)
	return p
}

// checkPassword costs as much for a name that is nobody's, so that the time doesn't tell.
func (a *homes) checkPassword(account, typed string) (h *home, ok bool) {
	h = a.ofAccount(account)
	p := password{Rounds: a.rounds, Salt: make([]byte, 16), Hash: make([]byte, sha256.Size)}
	if h != nil {
		p = h.who().password
	}
	if len(typed) > maxPassword {
		typed = ""
	}
	right := subtle.ConstantTimeCompare(hashPassword(typed, p.Salt, p.Rounds), p.Hash) == 1
	return h, right && h != nil
}

// Bounds of a password, in bytes.
const (
	minPassword = 8
	maxPassword = 1024
)

// unfit says in words why a new password won't do; empty: it will.
func unfit(text string) string {
	switch {
	case len(text) < minPassword:
		return "A password needs at least eight characters."
	case len(text) > maxPassword:
		return "That password is too long."
	}
	return ""
}

// setPassword gives a person another password.
func (a *homes) setPassword(h *home, text string) {
	p := newPassword(text, a.rounds)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.person.password = p
}

// who is the person as they are now.
func (h *home) who() person {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.person
}
