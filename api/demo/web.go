package demo

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"path"
	"strings"
	"time"
)

//go:embed templates static
var files embed.FS

// view is what every page is made of.
type view struct {
	Title  string
	Page   string // name of its template
	Pane   pane   // whose changes it follows; empty: none
	CSRF   string
	Nonce  string
	Style  string // where the style sheet is, by its content
	Script template.JS
	Said   saying
	Decide string // where decisions on its requests are posted
	// Refresh is after how many seconds the page is loaded again where there is no JavaScript; 0: never, because somebody
	// types on it.
	Refresh int
	Frame   bool // it may hold frames
	Data    any
}

// dayLayout is how pages write a moment that isn't of today.
const dayLayout = "2 Jan 2006, 15:04"

// pages are the templates, each with the layout and the parts.
var pages = func() map[string]*template.Template {
	base := template.Must(template.New("").Funcs(template.FuncMap{
		"clock": func(t time.Time) string { return t.Local().Format("15:04") },
		"day":   func(t time.Time) string { return t.Local().Format(dayLayout) },
		"stamp": func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"map":   drawMap,
		"split": func(code string) string { return code[:len(code)/2] + " " + code[len(code)/2:] },
		"key":   func() string { return rand.Text() }, // an Idempotency-Key for each form
		"rest":  func(left int) int { return 30 - left },
		"about": func(v view, data any) view { v.Data = data; return v },
		"panel": func(view, string) (template.HTML, error) { return "", nil }, // of each page, below
	}).ParseFS(files, "templates/layout.html", "templates/part-*.html", "templates/panel-*.html"))
	found, err := files.ReadDir("templates")
	if err != nil {
		panic(err)
	}
	all := make(map[string]*template.Template)
	for _, f := range found {
		name, ok := strings.CutPrefix(f.Name(), "page-")
		if !ok {
			continue
		}
		page := template.Must(template.Must(base.Clone()).ParseFS(files, path.Join("templates", f.Name())))
		page.Funcs(template.FuncMap{"panel": func(v view, name string) (template.HTML, error) {
			var b bytes.Buffer
			err := page.ExecuteTemplate(&b, "panel-"+name, v)
			return template.HTML(b.String()), err
		}})
		all[strings.TrimSuffix(name, ".html")] = page
	}
	return all
}()

var (
	style     = mustRead("static/style.css")
	icon      = mustRead("static/icon.svg")
	script    = template.JS(mustRead("static/live.js"))
	stylePath = fmt.Sprintf("/style-%.8x.css", sha256.Sum256(style))
)

func mustRead(name string) []byte {
	b, err := files.ReadFile(name)
	if err != nil {
		panic(err)
	}
	return b
}

// show answers with a page.
func (s *Site) show(w http.ResponseWriter, r *http.Request, status int, v view) {
	nonce := make([]byte, 16)
	_, _ = rand.Read(nonce)
	v.Nonce, v.Style, v.Script = base64.StdEncoding.EncodeToString(nonce), stylePath, script
	v.CSRF = s.csrfToken(browserToken(w, r))
	if h := s.home(r); h != nil && v.Pane != "" && v.Said.Text == "" {
		v.Said = h.hear(v.Pane)
	}
	var b bytes.Buffer
	if err := pages[v.Page].ExecuteTemplate(&b, "layout", v); err != nil {
		s.log.Error("drawing a page", "page", v.Page, "error", err)
		http.Error(w, "This page can't be drawn.", http.StatusInternalServerError)
		return
	}
	frames := "'none'"
	if v.Frame {
		frames = "'self'"
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'nonce-"+v.Nonce+"'; connect-src 'self'; "+
		"img-src 'self'; form-action 'self'; frame-src "+frames+"; frame-ancestors 'self'; base-uri 'none'")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
}

// home is the visitor's; nil, if there is none yet.
func (s *Site) home(r *http.Request) *home {
	c, err := r.Cookie(browserCookie)
	if err != nil {
		return nil
	}
	return s.homes.of(c.Value)
}

// harden is around everything.
func harden(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "geolocation=(), camera=(), microphone=()")
		next.ServeHTTP(w, r)
	})
}

func serveIcon(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "image/svg+xml")
	w.Header().Set("Cache-Control", "public, max-age=86400")
	_, _ = w.Write(icon)
}

func serveStyle(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable") // its name is its content
	_, _ = w.Write(style)
}
