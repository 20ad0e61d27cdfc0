package api

import (
	"bytes"
	"flag"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
)

var update = flag.Bool("update", false, "write openapi.json and the golden files anew")

//go:generate go test -run TestOpenAPI -update .

// The document that is checked in is the one that the code makes.
func TestOpenAPI(t *testing.T) {
	a, err := New(Config{Service: &scripted{}, TrustDomain: "test"})
	if err != nil {
		t.Fatal(err)
	}
	got, err := a.OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("openapi.json", got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("openapi.json is not what the code makes; run go generate ./api")
	}
}

// Every route of the access table is served and, but for those that are not JSON, documented.
func TestAccessTableIsComplete(t *testing.T) {
	a, err := New(Config{Service: &scripted{}, TrustDomain: "test"})
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for path, item := range a.document.Paths {
		for _, op := range []*huma.Operation{item.Get, item.Put, item.Post, item.Delete} {
			if op == nil {
				continue
			}
			documented = append(documented, op.Method+" "+path)
			// huma passes over variables whose struct it can't see into, and the handler gets nothing.
			for _, variable := range regexp.MustCompile(`{(\w+)}`).FindAllStringSubmatch(path, -1) {
				if !slices.ContainsFunc(op.Parameters, func(p *huma.Param) bool { return p.Name == variable[1] && p.In == "path" }) {
					t.Errorf("%s %s: no parameter %s", op.Method, path, variable[1])
				}
			}
		}
	}
	documented = append(documented, "GET /metrics", "GET /openapi.json", "GET /docs")
	slices.Sort(documented)
	var listed []string
	for pattern := range access {
		listed = append(listed, strings.ReplaceAll(pattern, "...}", "}")) // OpenAPI has no word for the rest of a path
	}
	slices.Sort(listed)
	if !slices.Equal(documented, listed) {
		t.Errorf("routes:\n%s\naccess table:\n%s", strings.Join(documented, "\n"), strings.Join(listed, "\n"))
	}
}
