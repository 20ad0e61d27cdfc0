package archive

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// ErrPassword: a password is in the connection string, or in PGPASSWORD.
var ErrPassword = errors.New("a password in the connection string or in PGPASSWORD could be read in the list of processes: " +
	"put it into ~/.pgpass or the file that PGPASSFILE names, or into a service of the file that PGSERVICEFILE names (service=NAME), " +
	"or use a client certificate (sslcert, sslkey)")

// ErrPlain: a connection might go without TLS although it was not asked to.
var ErrPlain = errors.New("whoever is on the way could turn off TLS: say sslmode=verify-full, with sslrootcert if need be " +
	"(or PGSSLMODE and PGSSLROOTCERT); sslmode=disable where the network is trusted")

// ParseConfig reads a connection string: a URL postgres://USER@HOST/DATABASE?sslmode=verify-full, or
// "host=HOST user=USER dbname=DATABASE". What it leaves open comes from PGHOST, PGSERVICE, PGPASSFILE, PGSSLMODE and the
// like, but not from PGPASSWORD. It answers ErrPassword or ErrPlain; no message has the string in it.
func ParseConfig(connection string) (*pgx.ConnConfig, error) {
	if hasPassword(connection) || os.Getenv("PGPASSWORD") != "" {
		return nil, ErrPassword
	}
	c, err := pgx.ParseConfigWithOptions(connection, pgx.ParseConfigOptions{
		ParseConfigOptions: pgconn.ParseConfigOptions{ConnStringAllowedKeys: allowedKeys},
	})
	var unreadable *pgconn.ParseConfigError
	if errors.As(err, &unreadable) {
		unreadable.ConnString = "..." // what can't be read might be a password in an odd place
	}
	if err != nil {
		return nil, fmt.Errorf("reading the connection string: %w", err)
	}
	// sslmode=prefer, the default, tries TLS and then goes on without.
	modes := map[string][2]bool{}
	for _, f := range append([]*pgconn.FallbackConfig{{Host: c.Host, TLSConfig: c.TLSConfig}}, c.Fallbacks...) {
		m := modes[f.Host]
		modes[f.Host] = [2]bool{m[0] || f.TLSConfig != nil, m[1] || f.TLSConfig == nil}
	}
	for host, m := range modes {
		if m[0] && m[1] && !isLocal(host) {
			return nil, ErrPlain
		}
	}
	if c.RuntimeParams["application_name"] == "" {
		c.RuntimeParams["application_name"] = "strongroom audit archive"
	}
	return c, nil
}

// allowedKeys are what a connection string may say; password and sslpassword are not among them.
var allowedKeys = []string{
	"host", "port", "user", "dbname", "service", "servicefile", "passfile", "connect_timeout", "target_session_attrs",
	"sslmode", "sslrootcert", "sslcert", "sslkey", "sslsni", "sslnegotiation", "ssl_min_protocol_version", "channel_binding",
	"require_auth", "krbspn", "krbsrvname", "application_name", "options", "search_path",
}

// isLocal says whether a host is this machine: a directory of a socket, or a loopback address.
func isLocal(host string) bool {
	ip := net.ParseIP(host)
	return strings.HasPrefix(host, "/") || strings.HasPrefix(host, "@") || host == "localhost" || ip != nil && ip.IsLoopback()
}

var passwordKey = regexp.MustCompile(`(?i)(^|[\s'])(ssl)?password\s*=`)

// hasPassword errs on the side of seeing one.
func hasPassword(s string) bool {
	scheme, rest, isURL := strings.Cut(s, "://")
	if !isURL || strings.ContainsAny(scheme, " =") {
		return passwordKey.MatchString(s)
	}
	path, query, _ := strings.Cut(rest, "?")
	if i := strings.LastIndexByte(path, '@'); i >= 0 && strings.Contains(path[:i], ":") {
		return true
	}
	for _, pair := range strings.FieldsFunc(query, func(r rune) bool { return r == '&' || r == ';' }) {
		key, _, _ := strings.Cut(pair, "=")
		if decoded, err := url.QueryUnescape(key); err == nil {
			key = decoded
		}
		if key = strings.ToLower(strings.TrimSpace(key)); key == "password" || key == "sslpassword" {
			return true
		}
	}
	return false
}

// Connect opens a connection for Archive, Check or Archived.
func Connect(ctx context.Context, connection string) (*pgx.Conn, error) {
	c, err := ParseConfig(connection)
	if err != nil {
		return nil, err
	}
	db, err := pgx.ConnectConfig(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("connecting to the database: %w", err)
	}
	return db, nil
}
