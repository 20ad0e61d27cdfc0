package main

import (
	"io"
	"time"

	"github.com/hashicorp/go-hclog"

	"strongroom.internal/cmd/strongroom/internal/config"
)

// newLogger makes the node's own log. Secrets have types that refuse to be written; see hsm.Secret.
func newLogger(c *config.Config, w io.Writer) hclog.Logger {
	return hclog.New(&hclog.LoggerOptions{
		Name:       "strongroom",
		Level:      hclog.LevelFromString(c.Log.Level),
		Output:     w,
		JSONFormat: c.Log.Format == "json",
		TimeFn:     func() time.Time { return time.Now().UTC() },
	})
}

// commandLogger is for commands that end: they report their own progress, so the parts' running commentary is left out
// unless it was asked for.
func commandLogger(c *config.Config, w io.Writer) hclog.Logger {
	log := newLogger(c, w)
	if log.GetLevel() == hclog.Info {
		log.SetLevel(hclog.Error)
	}
	return log
}
