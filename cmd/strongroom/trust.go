package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"strongroom.internal/cmd/strongroom/internal/config"
	"strongroom.internal/hsm/pkcs11"
)

// trustCommand is what a node calls itself with; see trustInOtherProcess.
const trustCommand = "trust-transport-key"

// maxPKIX bounds a transport key in bytes: RSA-4096 takes 550.
const maxPKIX = 4096

func newTrust(t *terminal) *cobra.Command {
	var path string
	c := &cobra.Command{
		Use:    trustCommand,
		Short:  "Have the security officer mark a joining node's transport key trusted",
		Long:   "Reads the transport key (PKIX DER) from stdin. A node calls itself with this command; people don't need it.",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := config.Load(path)
			if err != nil {
				return err
			}
			pkix, err := io.ReadAll(io.LimitReader(t.in, maxPKIX+1))
			if err != nil {
				return fmt.Errorf("reading the transport key: %w", err)
			}
			if len(pkix) == 0 || len(pkix) > maxPKIX {
				return fmt.Errorf("reading the transport key: %d bytes are not a PKIX public key", len(pkix))
			}
			if err := setSoftHSM(cfg); err != nil {
				return err
			}
			officer := pkcs11Config(cfg)
			officer.PIN = cfg.SOPIN
			return pkcs11.TrustTransportKey(c.Context(), officer, pkix)
		},
	}
	configFlag(c, &path)
	return c
}
