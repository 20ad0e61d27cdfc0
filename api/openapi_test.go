package api

import (
	"bytes"
	"flag"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
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
		for method, op := range map[string]any{"GET": item.Get != nil, "PUT": item.Put != nil, "POST": item.Post != nil, "DELETE": item.Delete != nil} {
			if op.(bool) {
				documented = append(documented, method+" "+path)
			}
		}
	}
	documented = append(documented, "GET /metrics", "GET /openapi.json", "GET /docs")
	slices.Sort(documented)
	listed := slices.Sorted(maps.Keys(access))
	if !slices.Equal(documented, listed) {
		t.Errorf("routes:\n%s\naccess table:\n%s", strings.Join(documented, "\n"), strings.Join(listed, "\n"))
	}
}
