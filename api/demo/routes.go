package demo

import (
	"context"
	"net/http"
	"strings"

	"strongroom.internal/api/client"
)

const maxForm = 16 << 10

// at is a handler of a page that belongs to a home.
type at func(w http.ResponseWriter, r *http.Request, h *home)

func (s *Site) routes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("POST "+FrontendHook, &s.frontend)
	mux.Handle("POST "+GatewayHook, &s.gateway)
	mux.HandleFunc("GET "+stylePath, serveStyle)
	mux.HandleFunc("GET /icon.svg", serveIcon)

	pages := http.NewServeMux()
	pages.HandleFunc("GET /{$}", s.stage)
	pages.HandleFunc("POST /start", s.form(s.start))
	for pattern, f := range map[string]at{
		"GET /events": s.events,

		"GET /mac":          s.macPage,
		"GET /mac/forgot":   s.forgotPage,
		"GET /mac/recovery": s.recoveryPage,
		"GET /browser":      s.browserPage,

		"GET /legacy": s.legacyPage,

		"GET /account": s.accountPage,

		"GET /phone":          s.phonePage,
		"GET /phone/settings": s.settingsPage,
		"GET /phone/setup":    s.setupPage,

		"GET /phone/protection": s.protectionPage,
		"GET /phone/password":   s.phonePasswordPage,

		"GET /messages":          s.messagesPage,
		"GET /messages/undo":     s.undoPage,
		"GET /messages/recovery": s.speakPage,
	} {
		pages.HandleFunc(pattern, s.athome(f))
	}
	for pattern, f := range map[string]at{
		"POST /stage/mac":   s.newMac,
		"POST /stage/phone": s.newPhone,
		"POST /stage/move":  s.moveMac,

		"POST /mac/password": s.password(s.macDesk()),
		"POST /mac/code":     s.code(s.macDesk()),
		"POST /mac/send":     s.send(s.macDesk()),
		"POST /mac/cancel":   s.cancel(s.macDesk()),
		"POST /mac/sign-out": s.signOut,
		"POST /mac/decide":   s.decideOn(paneMac),
		"POST /mac/update":   s.updateMac,
		"POST /legacy":       s.legacy,

		"POST /mac/recovery/start":    s.startRecovery,
		"POST /mac/recovery/withdraw": s.recovering(s.withdrawRecovery),
		"POST /mac/recovery/send":     s.recovering(s.sendRecoveryCode),
		"POST /mac/recovery/code":     s.recovering(s.recoveryCode),
		"POST /mac/recovery/password": s.recovering(s.recoveryPassword),
		"POST /mac/recovery/complete": s.recovering(s.completeRecovery),

		"POST /browser/password": s.password(s.browserDesk()),
		"POST /browser/code":     s.code(s.browserDesk()),
		"POST /browser/send":     s.send(s.browserDesk()),
		"POST /browser/cancel":   s.cancel(s.browserDesk()),
		"POST /browser/trust":    s.trustBrowser,
		"POST /browser/sign-out": s.leaveBrowser,

		"POST /account/{panel}/{action}":     s.accountAction,
		"POST /account/app-passwords/create": s.makeAppPassword,
		"POST /account/authenticators/add":   s.addAuthenticator,
		"POST /account/password/change":      s.changePassword,

		"POST /phone/decide": s.decideOn(panePhone),
		"POST /phone/setup":  s.setUp,
		"POST /phone/code":   s.setupCode,

		"POST /phone/protection": s.turnOn,
		"POST /phone/password":   s.resetPassword,
		"POST /phone/recovery":   s.stopRecovery,

		"POST /messages/answer":   s.answerCall,
		"POST /messages/undo":     s.undo,
		"POST /messages/recovery": s.speak,
	} {
		pages.HandleFunc(pattern, s.form(s.athome(f)))
	}
	// The tokens in the forms are enough; a browser that says that another site asks is refused before.
	mux.Handle("/", http.NewCrossOriginProtection().Handler(pages))
	return harden(mux)
}

// athome leads visitors without a home to where they get one.
func (s *Site) athome(next at) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		h := s.home(r)
		if h == nil {
			http.Redirect(w, r, "/", http.StatusSeeOther)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), callTimeout)
		defer cancel()
		if r.URL.Path == "/events" {
			next(w, r, h)
			return
		}
		next(w, r.WithContext(ctx), h)
	}
}

// form refuses what wasn't sent from a page of ours.
func (s *Site) form(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		if err := r.ParseForm(); err != nil || !s.sameForm(r) {
			s.show(w, r, http.StatusForbidden, view{
				Title: "Not accepted", Page: "note",
				Said: saying{Text: "This form was not sent from a page of this site, or is from before a restart. Go back, load the page again and send it once more.", Bad: true},
			})
			return
		}
		if h := s.home(r); h != nil {
			h.leave(paneOf(r.URL.Path), saying{})
		}
		next(w, r)
	}
}

// paneOf is the pane that a path is of: its first part.
func paneOf(path string) pane {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if first == "legacy" {
		return paneMac
	}
	return pane(first)
}

func back(w http.ResponseWriter, r *http.Request, to string) {
	http.Redirect(w, r, to, http.StatusSeeOther)
}

// withKey has a call made under the key that the form brought, so that a form that is sent twice acts once.
func withKey(r *http.Request) context.Context {
	key := r.PostFormValue("key")
	if key == "" || len(key) > 64 {
		return r.Context()
	}
	return client.WithIdempotencyKey(r.Context(), key)
}

// withoutKey is for a second call of one form: it is another request.
func withoutKey(ctx context.Context) context.Context { return client.WithIdempotencyKey(ctx, "") }
