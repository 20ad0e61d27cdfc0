package demo

import (
	"cmp"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"sync"
	"time"
)

const (
	browserCookie = "browser" // names the visitor's home; there from the first page on
	sessionCookie = "session" // of somebody who signs in on the Mac, or did
	visitCookie   = "visit"   // likewise, in a browser

	sessionLife = 12 * time.Hour
	maxSessions = 1000
)

// session is what the service knows of one browser that signs in: which sign-in waits for its code, and who is in.
type session struct {
	account string // of whom it is, or who gave the password
	signIn  string // that waits for its code
	in      bool
	opened  string    // the sign-in whose code opened it; empty: it was opened without a code
	offer   bool      // of trust in the browser, which is yet to be answered
	trust   string    // id of the browser's trust
	proved  time.Time // when a second factor was shown; zero: the password opened it alone
	expires time.Time
}

// sessions are kept in memory, by the hash of their cookie.
type sessions struct {
	cookie string // its name; empty: sessionCookie

	mu   sync.Mutex // guards list
	list map[[sha256.Size]byte]session
}

func (s *sessions) name() string { return cmp.Or(s.cookie, sessionCookie) }

func (s *sessions) id(r *http.Request) (id [sha256.Size]byte, ok bool) {
	c, err := r.Cookie(s.name())
	if err != nil {
		return id, false
	}
	return sha256.Sum256([]byte(c.Value)), true
}

// get is the session of a request; the zero session, if it has none.
func (s *sessions) get(r *http.Request) session {
	id, ok := s.id(r)
	if !ok {
		return session{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.list[id]
	if time.Now().After(x.expires) {
		return session{}
	}
	return x
}

// begin gives the browser a session under a new name, so that one that was planted before is worth nothing, and ends the
// former.
func (s *sessions) begin(w http.ResponseWriter, r *http.Request, x session) {
	token := rand.Text()
	x.expires = time.Now().Add(sessionLife)
	former, had := s.id(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.list == nil {
		s.list = make(map[[sha256.Size]byte]session)
	}
	if had {
		delete(s.list, former)
	}
	for id, y := range s.list {
		if len(s.list) < maxSessions && time.Now().Before(y.expires) {
			continue
		}
		delete(s.list, id)
	}
	s.list[sha256.Sum256([]byte(token))] = x
	setCookie(w, r, s.name(), token, 0)
}

// change changes what is known of the session of a request, if it has one.
func (s *sessions) change(r *http.Request, change func(*session)) {
	id, ok := s.id(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	if x, there := s.list[id]; ok && there {
		change(&x)
		s.list[id] = x
	}
}

// endOthers ends the sessions of an account, but for that of a request; nil: all.
func (s *sessions) endOthers(account string, r *http.Request) {
	var own [sha256.Size]byte
	if r != nil {
		own, _ = s.id(r)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, x := range s.list {
		if x.account == account && id != own {
			delete(s.list, id)
		}
	}
}

// end ends a browser's session.
func (s *sessions) end(w http.ResponseWriter, r *http.Request) {
	if id, ok := s.id(r); ok {
		s.mu.Lock()
		delete(s.list, id)
		s.mu.Unlock()
	}
	setCookie(w, r, s.name(), "", -1)
}

func setCookie(w http.ResponseWriter, r *http.Request, name, value string, maxAge int) {
	http.SetCookie(w, &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: maxAge, HttpOnly: true, SameSite: http.SameSiteStrictMode,
		Secure: r.TLS != nil,
	})
}

// browserToken is the visitor's, or a new one.
func browserToken(w http.ResponseWriter, r *http.Request) string {
	if c, err := r.Cookie(browserCookie); err == nil && len(c.Value) >= 26 && len(c.Value) <= 64 {
		return c.Value
	}
	token := rand.Text()
	setCookie(w, r, browserCookie, token, 365*24*3600)
	return token
}

// csrfToken goes into every form: only a page of ours that was shown to this browser has it.
func (s *Site) csrfToken(browser string) string {
	mac := hmac.New(sha256.New, s.csrfKey[:])
	mac.Write([]byte("csrf\x00" + browser))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// sameForm says that a form was on a page that was shown to this browser.
func (s *Site) sameForm(r *http.Request) bool {
	c, err := r.Cookie(browserCookie)
	return err == nil && hmac.Equal([]byte(r.PostFormValue("csrf")), []byte(s.csrfToken(c.Value)))
}
