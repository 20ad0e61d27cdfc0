package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/knadh/koanf/parsers/toml/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"
)

// Load reads the file and checks it: syntax, keys, values, and the files that it names. The error lists everything that
// is wrong, one problem a line.
func Load(path string) (*Config, error) {
	c, err := Read(path)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(c.Validate(), c.CheckFiles()); err != nil {
		return nil, &Error{Path: path, Problems: unjoin(err)}
	}
	return c, nil
}

// Read reads the file and checks its syntax and keys only.
func Read(path string) (*Config, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("finding the configuration: %w", err)
	}
	k := koanf.New(".")
	if err := k.Load(file.Provider(path), toml.Parser()); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("reading the configuration: %w; `strongroom config example` prints one to start from", err)
		}
		return nil, fmt.Errorf("reading the configuration %s: %w", path, err)
	}
	c := Defaults()
	c.path, c.credentials = path, os.Getenv("CREDENTIALS_DIRECTORY")
	fields := c.fields()
	var problems []error
	for _, key := range slices.Sorted(slices.Values(k.Keys())) {
		field, known := fields[key]
		if table, empty := k.Get(key).(map[string]any); empty && len(table) == 0 && sections()[key] {
			continue
		}
		if !known {
			problems = append(problems, unknown(key, fields))
			continue
		}
		if err := assign(field, k.Get(key)); err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", key, err))
		}
	}
	if len(problems) > 0 {
		// What is right is checked as well, so that one run shows everything.
		problems = append(problems, unjoin(c.Validate())...)
		return nil, &Error{Path: path, Problems: problems}
	}
	return &c, nil
}

// Error is everything that is wrong with a file.
type Error struct {
	Path     string
	Problems []error
}

func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "the configuration %s has %s:", e.Path, count(len(e.Problems), "problem"))
	for _, p := range e.Problems {
		b.WriteString("\n  " + p.Error())
	}
	return b.String()
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// Keys lists every key of the file, sorted.
func Keys() []string {
	c := Defaults()
	var keys []string
	for k := range c.fields() {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// sections are the tables of the file.
func sections() map[string]bool {
	all := make(map[string]bool)
	for _, key := range Keys() {
		section, _, _ := strings.Cut(key, ".")
		all[section] = true
	}
	return all
}

// fields finds each field by its key.
func (c *Config) fields() map[string]reflect.Value {
	found := make(map[string]reflect.Value)
	root := reflect.ValueOf(c).Elem()
	for i := range root.NumField() {
		section := root.Type().Field(i).Tag.Get("toml")
		if section == "" {
			continue
		}
		for j := range root.Field(i).NumField() {
			found[section+"."+root.Field(i).Type().Field(j).Tag.Get("toml")] = root.Field(i).Field(j)
		}
	}
	return found
}

func assign(field reflect.Value, value any) error {
	switch field.Interface().(type) {
	case string:
		s, ok := value.(string)
		if !ok {
			return fmt.Errorf("must be a string in quotes, not %v", value)
		}
		field.SetString(s)
	case int:
		n, ok := value.(int64)
		if !ok {
			return fmt.Errorf("must be a whole number, not %v", value)
		}
		field.SetInt(n)
	case time.Duration:
		s, _ := value.(string)
		d, err := time.ParseDuration(s)
		if err != nil {
			return fmt.Errorf("must be a duration in quotes such as \"500ms\", not %v", value)
		}
		field.SetInt(int64(d))
	default:
		panic("config: a field of a type that no key can have: " + field.Type().String())
	}
	return nil
}

func unjoin(err error) []error {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []error
		for _, e := range joined.Unwrap() {
			all = append(all, unjoin(e)...)
		}
		return all
	}
	return []error{err}
}
