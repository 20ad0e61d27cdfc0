package api

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"
	"sync"
	"time"

	"filippo.io/torchwood"
	"github.com/danielgtaylor/huma/v2"
	"golang.org/x/mod/sumdb/tlog"
)

// The log as C2SP tlog-tiles has it: a checkpoint, and tiles and entry bundles that never change. A node may be asked for
// any width that a tile has, or had when the tree was smaller.

// Headers of caches. What is behind a client certificate is for that client's own cache.
const (
	privateCache = "private, max-age=31536000, immutable"
	publicCache  = "public, max-age=31536000, immutable"
)

func (a *API) registerTiles(h huma.API) {
	octets := &huma.Schema{Type: huma.TypeString, Format: "binary"}
	tree := &huma.Param{
		Name: "tree", In: "path", Required: true, Example: "2026",
		Description: "Name of the tree.", Schema: &huma.Schema{Type: huma.TypeString},
	}
	for _, d := range []struct {
		op     huma.Operation
		params []*huma.Param
		serve  http.HandlerFunc
	}{
		{
			textual(operation(checkpointRoute, "get-log-checkpoint", "log", "Read a tree's newest checkpoint",
				"C2SP tlog-checkpoint, signed by a majority of the nodes, and by witnesses if there are any.", http.StatusOK),
				"The signed note."),
			[]*huma.Param{tree},
			a.serveCheckpoint,
		},
		{
			answering(operation(tileRoute, "get-log-tile", "log", "Read a tile or an entry bundle",
				"The path is C2SP tlog-tiles': <L>/<N>, entries/<N>, either with .p/<W>. It never changes: cache it. Range, If-None-Match, and gzip of entry bundles are understood. 410 (problem pruned) for what an archive has; 503 (problem unavailable) where this node is still fetching it.",
				http.StatusOK), "application/octet-stream", "Hashes of 32 bytes, or entries, each after its length in two bytes.", octets),
			[]*huma.Param{tree, {
				Name: "path", In: "path", Required: true, Example: "entries/x001/067.p/12",
				Description: "It has slashes.", Schema: &huma.Schema{Type: huma.TypeString},
			}},
			a.serveTile(privateCache),
		},
	} {
		op := d.op
		pattern := op.Method + " " + op.Path
		op.Path = strings.ReplaceAll(op.Path, "...}", "}")
		op.Parameters = d.params
		op.Responses["default"] = problemResponse
		h.OpenAPI().AddOperation(&op)
		a.handle(pattern, d.serve)
	}
	a.mux.HandleFunc("/v1/log/{tree}/tile", a.nothing)
}

// nothing is at a path that ServeMux would otherwise answer with a redirect.
func (a *API) nothing(w http.ResponseWriter, r *http.Request) { a.fail(w, r, errNoRoute) }

// problemResponse is what huma documents of each operation of its own.
var problemResponse = &huma.Response{
	Description: "Error",
	Content:     map[string]*huma.MediaType{"application/problem+json": {Schema: &huma.Schema{Ref: "#/components/schemas/Problem"}}},
}

func (a *API) serveCheckpoint(w http.ResponseWriter, r *http.Request) {
	if r.URL.RawQuery != "" {
		a.fail(w, r, invalid("query", "must be empty"))
		return
	}
	checkpoint, err := a.service.LogCheckpoint(r.Context(), r.PathValue("tree"))
	if err != nil {
		a.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", textType)
	serveBytes(w, r, checkpoint)
}

// serveTile serves tiles and entry bundles, for which caches get that header.
func (a *API) serveTile(cache string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery != "" {
			a.fail(w, r, invalid("query", "must be empty"))
			return
		}
		t, ok := parseTile(r)
		if !ok {
			a.fail(w, r, errNoRoute)
			return
		}
		body, err := a.readTile(r.Context(), r.PathValue("tree"), t)
		if err != nil {
			a.fail(w, r, err)
			return
		}
		h := w.Header()
		h.Set("Content-Type", "application/octet-stream")
		h.Set("Cache-Control", cache)
		if t.L < 0 {
			h.Set("Vary", "Accept-Encoding")
			// A range is one of the bytes themselves.
			if r.Header.Get("Range") == "" && acceptsGzip(r.Header) {
				serveGzip(w, r, body)
				return
			}
		}
		serveBytes(w, r, body)
	}
}

// parseTile reads the path of a tile in the one spelling that it has.
func parseTile(r *http.Request) (tlog.Tile, bool) {
	path := "tile/" + r.PathValue("path")
	t, err := torchwood.ParseTilePath(path)
	// RawPath: something was percent-encoded that needn't be. The comparison: the parser knows other names for entries.
	if err != nil || r.URL.RawPath != "" || t.L > 63 || torchwood.TilePath(t) != path {
		return tlog.Tile{}, false
	}
	return t, true
}

func (a *API) readTile(ctx context.Context, tree string, t tlog.Tile) ([]byte, error) {
	if t.L < 0 {
		return a.service.LogBundle(ctx, tree, t.N, t.W)
	}
	return a.service.LogTile(ctx, tree, t.L, t.N, t.W)
}

// serveBytes answers with content, or a part of it, or that it has not changed.
func serveBytes(w http.ResponseWriter, r *http.Request, b []byte) {
	w.Header().Set("ETag", `"`+digest(b)+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b))
}

// serveGzip is serveBytes of all of it, compressed. Its tag is a weak one, because two nodes may compress differently.
func serveGzip(w http.ResponseWriter, r *http.Request, b []byte) {
	var small bytes.Buffer
	z := gzips.Get().(*gzip.Writer)
	z.Reset(&small)
	_, _ = z.Write(b) // into memory
	_ = z.Close()
	gzips.Put(z)
	w.Header().Set("Content-Encoding", "gzip")
	w.Header().Set("ETag", `W/"`+digest(b)+`-gzip"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(small.Bytes()))
}

// gzips are writers that are reused: one has a few hundred KiB of tables.
var gzips = sync.Pool{New: func() any {
	z, err := gzip.NewWriterLevel(nil, gzip.BestSpeed)
	if err != nil {
		panic(err)
	}
	return z
}}

func digest(b []byte) string {
	h := sha256.Sum256(b)
	return base64.RawURLEncoding.EncodeToString(h[:18])
}

// acceptsGzip reads Accept-Encoding (RFC 9110, Section 12.5.3). Weights don't matter but for zero, which is a refusal.
func acceptsGzip(h http.Header) bool {
	all := false
	for _, field := range h.Values("Accept-Encoding") {
		for item := range strings.SplitSeq(field, ",") {
			coding, weight, _ := strings.Cut(item, ";")
			accepted := strings.Trim(strings.ToLower(weight), " \tq=0.") != "" || strings.TrimSpace(weight) == ""
			switch strings.ToLower(strings.TrimSpace(coding)) {
			case "gzip", "x-gzip":
				return accepted
			case "*":
				all = accepted
			}
		}
	}
	return all
}
