package api

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
)

// document is the OpenAPI document with a stable layout, as it is checked in.
func document(d *huma.OpenAPI) ([]byte, error) {
	compact, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("encoding the OpenAPI document: %w", err)
	}
	var b bytes.Buffer
	if err := json.Indent(&b, compact, "", "  "); err != nil {
		return nil, fmt.Errorf("indenting the OpenAPI document: %w", err)
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}

// OpenAPI is the API's OpenAPI 3.1 document as JSON.
func (a *API) OpenAPI() ([]byte, error) { return document(a.document) }

// static serves bytes that never change while the process runs.
func static(contentType string, body []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Set("Content-Type", contentType)
		h.Set("Content-Length", strconv.Itoa(len(body)))
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
		_, _ = w.Write(body)
	})
}

// docsPage is the document for people: one page, no script, nothing from elsewhere.
func docsPage(d *huma.OpenAPI) ([]byte, error) {
	type entry struct {
		Method, Path string
		Op           *huma.Operation
	}
	type section struct {
		Tag     *huma.Tag
		Entries []entry
	}
	var sections []section
	for _, tag := range d.Tags {
		s := section{Tag: tag}
		for _, path := range slices.Sorted(maps.Keys(d.Paths)) {
			item := d.Paths[path]
			for _, op := range []*huma.Operation{item.Get, item.Put, item.Post, item.Delete} {
				if op != nil && slices.Contains(op.Tags, tag.Name) {
					s.Entries = append(s.Entries, entry{op.Method, path, op})
				}
			}
		}
		slices.SortStableFunc(s.Entries, func(a, b entry) int { return cmp.Compare(a.Path, b.Path) })
		sections = append(sections, s)
	}
	var b bytes.Buffer
	if err := docsTemplate.Execute(&b, map[string]any{"Info": d.Info, "Sections": sections}); err != nil {
		return nil, fmt.Errorf("rendering the documentation: %w", err)
	}
	return b.Bytes(), nil
}

var docsTemplate = template.Must(template.New("docs").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{{.Info.Title}} API</title>
<style>
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}
code{font-family:ui-monospace,monospace}h3{margin-bottom:0}p{margin-top:.3rem;white-space:pre-line}
</style>
<h1>{{.Info.Title}} API</h1><p>{{.Info.Description}}</p>
<p>The whole of it, with schemas: <a href="/openapi.json">openapi.json</a></p>
{{range .Sections}}<h2>{{.Tag.Name}}</h2><p>{{.Tag.Description}}</p>
{{range .Entries}}<h3 id="{{.Op.OperationID}}"><code>{{.Method}} {{.Path}}</code></h3><p><b>{{.Op.Summary}}.</b> {{.Op.Description}}</p>
{{end}}{{end}}</html>
`))
