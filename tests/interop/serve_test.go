package interop

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

// serve passes on what is at a URL, but for some paths, and returns its own URL.
func serve(t *testing.T, url string, instead map[string][]byte) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if b, ok := instead[q.URL.Path]; ok {
			_, _ = w.Write(b)
			return
		}
		a, err := http.Get(url + q.URL.Path)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer a.Body.Close()
		w.WriteHeader(a.StatusCode)
		_, _ = io.Copy(w, a.Body)
	}))
	t.Cleanup(s.Close)
	return s.URL
}
