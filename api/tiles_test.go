package api

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/tlog"

	"strongroom.internal/appliance"
)

// Each resource of C2SP tlog-tiles, with the headers that it asks for.
func TestTiles(t *testing.T) {
	service := well()
	s := serve(t, Config{Service: service}, false)
	c := s.client(t, asAuditor)
	for path, want := range map[string]struct{ asked, what, contentType, cache string }{
		"checkpoint":                         {"LogCheckpoint", "2026", "text/plain; charset=utf-8", "no-store"},
		"tile/0/000":                         {"LogTile", "2026 0 0 256", "application/octet-stream", privateCache},
		"tile/63/x001/x234/067":              {"LogTile", "2026 63 1234067 256", "application/octet-stream", privateCache},
		"tile/1/001.p/17":                    {"LogTile", "2026 1 1 17", "application/octet-stream", privateCache},
		"tile/entries/000":                   {"LogBundle", "2026 0 256", "application/octet-stream", privateCache},
		"tile/entries/x001/067.p/255":        {"LogBundle", "2026 1067 255", "application/octet-stream", privateCache},
		"tile/entries/x999/x999/x999/999":    {"LogBundle", "2026 999999999999 256", "application/octet-stream", privateCache},
		"tile/entries/x999/x999/999.p/1":     {"LogBundle", "2026 999999999 1", "application/octet-stream", privateCache},
		"tile/0/x123/x456/x789/x123/000.p/9": {"LogTile", "2026 0 123456789123000 9", "application/octet-stream", privateCache},
	} {
		for _, method := range []string{"GET", "HEAD"} {
			service.asked, service.want = "", ""
			got := s.send(t, c, method+" /v1/log/2026/"+path, "", "Accept-Encoding", "identity")
			if got.status != 200 || service.asked != want.asked || service.want != want.what {
				t.Errorf("%s %s: %d %s; it reached %s of %q", method, path, got.status, got.body, service.asked, service.want)
			}
			h := got.header
			if h.Get("Content-Type") != want.contentType || h.Get("Cache-Control") != want.cache || h.Get("Accept-Ranges") != "bytes" ||
				len(h.Get("ETag")) != 26 || h.Get("Content-Length") == "" || (got.body == "") != (method == "HEAD") {
				t.Errorf("%s %s: %v %q", method, path, h, got.body)
			}
		}
	}
}

// There is one spelling of a tile's path. Everything else is not there, and asks nobody.
func TestTilePathsAreStrict(t *testing.T) {
	service := well()
	s := serve(t, Config{Service: service}, false)
	c := s.client(t, asAuditor)
	for _, path := range []string{
		"tile", "tile/", "tile/0", "tile/0/", "tile/0/0", "tile/0/00", "tile/0/0000", "tile/0/1000", "tile/0/x000", "tile/0/x000/000",
		"tile/0/001/067", "tile/0/x001/x067", "tile/0/X001/067", "tile/64/000", "tile/00/000", "tile/-1/000", "tile/+1/000",
		"tile/data/000", "tile/8/data/000", "tile/entries", "tile/entries/", "tile/entries/x000/000", "tile/Entries/000",
		"tile/0/000.p", "tile/0/000.p/", "tile/0/000.p/0", "tile/0/000.p/00", "tile/0/000.p/01", "tile/0/000.p/256", "tile/0/000.p/-1",
		"tile/0/000.p/1/2", "tile/0/000/1", "tile/%30/000", "tile/0/00%30", "tile/0/000%2Fp", "tile/0/-01", "tile/0/x-01/000",
		"tile/0/x999/x999/x999/x999/x999/x999/x999/999", "tile/0/ 00", "checkpoint/", "checkpoint/x", "tile/0/000/", "tile/0/٠٠٠",
	} {
		service.asked = ""
		got := s.send(t, c, "GET /v1/log/2026/"+path, "")
		if got.status != 404 || service.asked != "" || got.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d, it reached %q", path, got.status, service.asked)
		}
	}
	for _, path := range []string{"checkpoint?x=1", "tile/0/000?x"} {
		if got := s.send(t, c, "GET /v1/log/2026/"+path, ""); got.status != 422 {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
}

func FuzzParseTile(f *testing.F) {
	for _, seed := range []string{"0/000", "entries/x001/067.p/12", "data/000", "63/x999/999", "0/000.p/0"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.SetPathValue("path", path)
		got, ok := parseTile(r)
		if !ok {
			return
		}
		if torchwood.TilePath(got) != "tile/"+path || got.L > 63 || got.N < 0 || got.W < 1 || got.W > 256 {
			t.Fatalf("%q was read as %+v", path, got)
		}
		if again, err := torchwood.ParseTilePath("tile/" + path); err != nil || again != got {
			t.Fatalf("%q was read as %+v, and by torchwood as %+v", path, got, again)
		}
	})
}

// Ranges, and what has not changed (RFC 9110, Sections 13 and 14).
func TestTileRanges(t *testing.T) {
	service := well()
	service.tile = bytes.Repeat([]byte("0123456789"), 1000)
	s := serve(t, Config{Service: service}, false)
	c := s.client(t, asAuditor)
	for _, path := range []string{"GET /v1/log/2026/tile/0/000", "GET /v1/log/2026/tile/entries/000"} {
		whole := s.send(t, c, path, "", "Accept-Encoding", "identity")
		tag := whole.header.Get("ETag")
		part := s.send(t, c, path, "", "Range", "bytes=32-63", "Accept-Encoding", "gzip")
		if part.status != 206 || part.body != string(service.tile[32:64]) || part.header.Get("Content-Range") != "bytes 32-63/10000" ||
			part.header.Get("Content-Encoding") != "" || part.header.Get("ETag") != tag {
			t.Errorf("%s, a range: %d %v %q", path, part.status, part.header, part.body)
		}
		if got := s.send(t, c, path, "", "Range", "bytes=9990-"); got.status != 206 || got.body != "0123456789" {
			t.Errorf("%s, to the end: %d %q", path, got.status, got.body)
		}
		if got := s.send(t, c, path, "", "Range", "bytes=10000-"); got.status != 416 || strings.Contains(got.header.Get("Cache-Control"), "immutable") {
			t.Errorf("%s, past the end: %d %v", path, got.status, got.header)
		}
		if got := s.send(t, c, path, "", "Range", "bytes=0-1", "If-Range", `"other"`, "Accept-Encoding", "identity"); got.status != 200 || len(got.body) != 10000 {
			t.Errorf("%s, a range of another version: %d, %d bytes", path, got.status, len(got.body))
		}
		if got := s.send(t, c, path, "", "If-None-Match", tag, "Accept-Encoding", "identity"); got.status != 304 || got.body != "" || got.header.Get("Cache-Control") != privateCache {
			t.Errorf("%s, unchanged: %d %v %q", path, got.status, got.header, got.body)
		}
		service.tile[5] ^= 1
		if got := s.send(t, c, path, "", "If-None-Match", tag, "Accept-Encoding", "identity"); got.status != 200 {
			t.Errorf("%s, changed: %d", path, got.status)
		}
		service.tile[5] ^= 1
	}
}

// Bundles are compressed for whom it suits; hashes can't be, and aren't.
func TestBundlesAreCompressed(t *testing.T) {
	service := well()
	service.tile = bytes.Repeat([]byte("0123456789"), 1000)
	s := serve(t, Config{Service: service}, false)
	c := s.client(t, asAuditor)
	c.Transport.(*http.Transport).DisableCompression = true
	bundle, tile := "/v1/log/2026/tile/entries/000", "/v1/log/2026/tile/0/000"
	tags := map[string]bool{}
	for accept, zipped := range map[string]bool{
		"gzip": true, "GZIP": true, "deflate, gzip;q=0.5": true, "*": true, "identity;q=0.2, gzip;q=1.0": true, "gzip; q=0.001": true,
		"": false, "identity": false, "br": false, "gzip;q=0": false, "gzip;q=0.0, *": false, "*;q=0": false, "gzipped": false,
	} {
		for _, method := range []string{"GET ", "HEAD "} {
			got := s.send(t, c, method+bundle, "", "Accept-Encoding", accept)
			h := got.header
			if got.status != 200 || (h.Get("Content-Encoding") == "gzip") != zipped || h.Get("Vary") != "Accept-Encoding" {
				t.Errorf("%s%q: %d %v", method, accept, got.status, h)
			}
			tags[h.Get("ETag")] = true
			if method == "HEAD " {
				continue
			}
			if zipped {
				z, err := gzip.NewReader(strings.NewReader(got.body))
				if err != nil {
					t.Fatal(err)
				}
				plain, err := io.ReadAll(z)
				if err != nil || len(got.body) > 1000 {
					t.Errorf("%q: %d bytes of gzip, %v", accept, len(got.body), err)
				}
				got.body = string(plain)
			}
			if got.body != string(service.tile) {
				t.Errorf("%q: other bytes", accept)
			}
		}
		if got := s.send(t, c, "GET "+tile, "", "Accept-Encoding", accept); got.header.Get("Content-Encoding") != "" {
			t.Errorf("%q: hashes came as %s", accept, got.header.Get("Content-Encoding"))
		}
	}
	if len(tags) != 2 {
		t.Errorf("plain and compressed have the tags %v", tags)
	}
	for tag := range tags {
		if got := s.send(t, c, "GET "+bundle, "", "Accept-Encoding", "gzip", "If-None-Match", tag); strings.HasPrefix(tag, "W/") != (got.status == 304) {
			t.Errorf("unchanged %s: %d", tag, got.status)
		}
	}
}

// What is not there, no longer there, and not yet here are three things.
func TestTileProblems(t *testing.T) {
	service := well()
	s := serve(t, Config{Service: service}, false)
	c := s.client(t, asAuditor)
	for err, want := range map[error]string{
		appliance.ErrNotFound:    "404 not-found ",
		appliance.ErrPruned:      "410 pruned ",
		appliance.ErrUnavailable: "503 unavailable 1",
	} {
		service.err = fmt.Errorf("reading: %w", err)
		for _, path := range []string{"checkpoint", "tile/0/000", "tile/entries/000.p/3"} {
			got := s.send(t, c, "GET /v1/log/2026/"+path, "")
			name, _, _ := strings.Cut(strings.TrimPrefix(got.body, `{"type":"urn:strongroom:problem:`), `"`)
			if all := fmt.Sprint(got.status, " ", name, " ", got.header.Get("Retry-After")); all != want || got.header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s with %v: %s, want %s; %v", path, err, all, want, got.header)
			}
		}
	}
}

// Torchwood's fetcher is content with what is served.
func TestTorchwoodReadsTiles(t *testing.T) {
	service := well()
	service.tile = bytes.Repeat([]byte{7}, 17*32)
	s := serve(t, Config{Service: service}, false)
	f, err := torchwood.NewTileFetcher("https://"+s.addr+"/v1/log/2026", torchwood.WithHTTPClient(s.client(t, asAuditor)),
		torchwood.WithConcurrencyLimit(1)) // the scripted service notes what it is asked
	if err != nil {
		t.Fatal(err)
	}
	tiles := []tlog.Tile{{H: 8, L: 1, N: 1234, W: 17}, {H: 8, L: -1, N: 0, W: 3}}
	got, err := f.ReadTiles(t.Context(), tiles)
	if err != nil || len(got) != 2 || !bytes.Equal(got[0], service.tile) || !bytes.Equal(got[1], service.tile) {
		t.Errorf("%d tiles, %v", len(got), err)
	}
	if note, err := f.ReadEndpoint(t.Context(), "checkpoint"); err != nil || string(note) != "checkpoint" {
		t.Errorf("checkpoint: %q, %v", note, err)
	}
}
