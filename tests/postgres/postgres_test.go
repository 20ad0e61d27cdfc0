package postgres_test

import (
	"context"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"

	"strongroom.internal/tests/postgres"
)

func TestServer(t *testing.T) {
	var s postgres.Server
	ctx := context.Background()
	db, err := pgx.Connect(ctx, s.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	var dir, listen string
	if err := db.QueryRow(ctx, "SELECT current_setting('data_directory'), current_setting('listen_addresses')").Scan(&dir, &listen); err != nil {
		t.Fatal(err)
	}
	if listen != "" {
		t.Errorf("it listens on %q", listen)
	}
	// The session is open: it doesn't keep the server up.
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("%s is left behind: %v", dir, err)
	}
	if err := db.Ping(ctx); err == nil {
		t.Error("the server still answers")
	}
}
