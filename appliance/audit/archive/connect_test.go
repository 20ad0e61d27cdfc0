package archive

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// noEnvironment keeps the settings of whoever runs the tests out of them.
func noEnvironment(t testing.TB) {
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "PG") {
			t.Setenv(name, "")
		}
	}
	t.Setenv("PGPASSFILE", filepath.Join(t.TempDir(), "none"))
	t.Setenv("PGSERVICEFILE", filepath.Join(t.TempDir(), "none"))
}

func TestParseConfig(t *testing.T) {
	noEnvironment(t)
	for connection, want := range map[string]error{
		"postgres://ada@db.example/audit?sslmode=verify-full": nil,
		"postgres://ada@db.example/audit?sslmode=require":     nil,
		"postgres://ada@db.example/audit?sslmode=disable":     nil,
		"postgres://ada@db.example/audit":                     ErrPlain,
		"postgres://ada@db.example/audit?sslmode=prefer":      ErrPlain,
		"postgres://ada@db.example/audit?sslmode=allow":       ErrPlain,
		"postgres://ada@localhost/audit":                      nil,
		"postgres://ada@127.0.0.1:5433/audit":                 nil,
		"postgres://ada@[::1]:5433/audit":                     nil,
		"postgres://ada@/audit?host=/run/postgresql":          nil,
		"host=/run/postgresql dbname=audit":                   nil,
		"host=db.example dbname=audit user=ada":               ErrPlain,
		"host=/run/postgresql,db.example dbname=audit":        ErrPlain,

		"postgres://ada:geheim@db.example/audit":                        ErrPassword,
		"postgresql://ada:geheim@localhost/audit":                       ErrPassword,
		"postgres://ada:ge/heim@localhost/audit":                        ErrPassword,
		"postgres://ada:@localhost/audit":                               ErrPassword,
		"postgres://ada@localhost/audit?password=geheim":                ErrPassword,
		"postgres://ada@localhost/audit?user=ada&pass%77ord=geheim":     ErrPassword,
		"postgres://ada@localhost/audit?sslpassword=geheim":             ErrPassword,
		"host=localhost password=geheim":                                ErrPassword,
		"password = 'geheim' host=localhost":                            ErrPassword,
		"host='localhost'password=geheim":                               ErrPassword,
		"host=localhost sslkey=k sslcert=c sslpassword=geheim":          ErrPassword,
		"postgres://ada:geheim%zz@db.example/audit?sslmode=verify-full": ErrPassword,
	} {
		c, err := ParseConfig(connection)
		if !errors.Is(err, want) || (err == nil) != (want == nil) {
			t.Errorf("%s: %v", connection, err)
		}
		if err != nil && strings.Contains(err.Error(), "geheim") {
			t.Errorf("the password is told: %v", err)
		}
		if err == nil && c.RuntimeParams["application_name"] == "" {
			t.Errorf("%s: the connection has no name", connection)
		}
	}
	for _, unreadable := range []string{"audit geheim", "postgres://localhost:geheim/audit", "host=localhost geheim=1", "host='geheim", "port=geheim"} {
		if _, err := ParseConfig(unreadable); err == nil || strings.Contains(err.Error(), "postgres://") {
			t.Errorf("%s: %v", unreadable, err)
		}
	}
}

// TestPasswordFromElsewhere: what ErrPassword says instead works.
func TestPasswordFromElsewhere(t *testing.T) {
	noEnvironment(t)
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	t.Setenv("PGPASSFILE", write("pass", "db.example:5432:audit:ada:geheim\n"))
	t.Setenv("PGSERVICEFILE", write("service", "[archive]\nhost=db.example\ndbname=audit\nuser=ada\nsslmode=verify-full\n"))
	t.Setenv("PGPASSWORD", "geheim")
	if _, err := ParseConfig("service=archive"); !errors.Is(err, ErrPassword) {
		t.Errorf("PGPASSWORD: %v", err)
	}
	t.Setenv("PGPASSWORD", "")
	for _, connection := range []string{"postgres://ada@db.example/audit?sslmode=verify-full", "service=archive"} {
		c, err := ParseConfig(connection)
		if err != nil {
			t.Fatal(err)
		}
		if c.Host != "db.example" || c.Password != "geheim" || c.TLSConfig == nil || c.TLSConfig.InsecureSkipVerify {
			t.Errorf("%s: host %s, password %t, TLS %t", connection, c.Host, c.Password != "", c.TLSConfig != nil)
		}
	}
}

// FuzzParseConfig: whatever is taken as a connection string had no password in it, by the judgement of the one who parses.
func FuzzParseConfig(f *testing.F) {
	for _, s := range []string{
		"", "postgres://a:b@c/d", "postgres://a@c/d?password=x", "postgres://a@c/d?sslmode=disable&user=b", "host=a password=b",
		"host=a\tpassword\n=\n'b'", "postgresql:///d?host=/tmp", "postgres://a%3Ab@c/d",
	} {
		f.Add(s)
	}
	noEnvironment(f)
	f.Fuzz(func(t *testing.T, s string) {
		if strings.Contains(s, "file") {
			return // of passwords and services: what is in it is not in the string
		}
		c, err := ParseConfig(s)
		if err == nil && c.Password != "" {
			t.Errorf("%q has the password %q", s, c.Password)
		}
	})
}
