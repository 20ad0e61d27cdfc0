package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"strongroom.internal/cmd/strongroom/internal/config"
)

// configFlag adds --config to a command of a node.
func configFlag(c *cobra.Command, path *string) {
	c.Flags().StringVar(path, "config", "/etc/strongroom/strongroom.toml", "the node's configuration (TOML)")
	_ = c.MarkFlagFilename("config", "toml")
}

func newConfig(t *terminal) *cobra.Command {
	c := &cobra.Command{Use: "config", Short: "Check a node's configuration, or print one to start from", RunE: needsCommand}
	c.AddCommand(newConfigCheck(t), newConfigExample(t))
	return c
}

func newConfigCheck(t *terminal) *cobra.Command {
	var path string
	c := &cobra.Command{
		Use:   "check",
		Short: "Check the configuration and the files that it names, and report everything that is wrong",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			cfg, err := config.Load(path)
			if err != nil {
				return err
			}
			result := struct {
				Config string `json:"config"`
				Node   string `json:"node"`
				OK     bool   `json:"ok"`
			}{cfg.Path(), cfg.Node.ID, true}
			return t.print(result, func(w io.Writer) { fmt.Fprintf(w, "%s: well, for node %s\n", result.Config, result.Node) })
		},
	}
	configFlag(c, &path)
	return c
}

func newConfigExample(t *terminal) *cobra.Command {
	return &cobra.Command{
		Use:   "example",
		Short: "Print a commented configuration with every key",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := io.WriteString(t.out, config.Example)
			return err
		},
	}
}
