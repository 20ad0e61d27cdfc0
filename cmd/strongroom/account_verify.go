package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"strongroom.internal/api/wire"
)

func newAccountVerify(t *terminal, o *accountOptions) *cobra.Command {
	var r wire.VerifyRequest
	var receipt string
	c := &cobra.Command{
		Use:   "verify ACCOUNT",
		Short: "Verify a code from stdin: one attempt",
		Long: `Reads a code from stdin, or from the terminal without echo, and prints the outcome: accepted, wrong, locked, or, if the
tenant's policy tells, spent. Exit code 4: the code was not accepted. An outcome that is unknown is an error, exit code
1: ask again with the same --idempotency-key.

With --receipt it waits for proof that the attempt is on the key-usage log, and writes it to a file.`,
		Example: "  oathtool --totp -b @seed | strongroom account verify alice",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) (err error) {
			if r.Code, err = t.secretOnWire("Code"); err != nil {
				return err
			}
			cluster, ctx, end, err := o.open(c)
			if err != nil {
				return err
			}
			defer end()
			r.Receipt = receipt != ""
			v, err := cluster.Verify(ctx, args[0], r)
			if err != nil {
				return err
			}
			// What was decided is said whatever becomes of the file: the code is spent.
			kept := t.keepReceipt(receipt, args[0], v)
			v.Receipt = ""
			return errors.Join(t.printVerification(v), kept)
		},
	}
	c.Flags().StringVar(&r.Device, "device", "", "take only this device's or authenticator's codes")
	c.Flags().StringVar(&receipt, "receipt", "", "file for the receipt (C2SP tlog-proof), which must not exist")
	_ = c.MarkFlagFilename("receipt")
	return c
}

// keepReceipt writes a verification's receipt, if one was asked for.
func (t *terminal) keepReceipt(path, account string, v wire.Verification) error {
	if path == "" {
		return nil
	}
	if v.Receipt == "" {
		t.say("there is no receipt: none came in time, or this tenant gets none of codes that were not accepted; "+
			"`strongroom account receipt %s --entry %d` asks again", account, v.Entry)
		return nil
	}
	quiet := *t
	quiet.out = io.Discard // stdout is the outcome's
	return quiet.keep(path, "the receipt", []byte(v.Receipt))
}

func newAccountResynchronise(t *terminal, o *accountOptions) *cobra.Command {
	return &cobra.Command{
		Use:   "resynchronise ACCOUNT AUTHENTICATOR",
		Short: "Find a token whose clock or counter is off by two of its codes in a row",
		Long:  "Reads the two codes from stdin, one a line, or from the terminal without echo. It costs attempts like verifying does.",
		Args:  cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			first, err := t.secretOnWire("First code")
			if err != nil {
				return err
			}
			next, err := t.secretOnWire("Next code")
			if err != nil {
				return err
			}
			cluster, ctx, end, err := o.open(c)
			if err != nil {
				return err
			}
			defer end()
			v, err := cluster.Resynchronise(ctx, args[0], args[1], wire.ResyncRequest{First: first, Second: next})
			if err != nil {
				return err
			}
			return t.printVerification(v)
		},
	}
}

// attempt is what there is to print of one.
type attempt struct {
	what     string // was accepted, or wasn't
	kind, id string // of what was right
	outcome  string
	retryAt  time.Time
	replayed bool
	entry    int64
}

func (t *terminal) printVerification(v wire.Verification) error {
	return t.printAttempt(v, attempt{"code", "device", v.Device, v.Outcome, v.RetryAt, v.Replayed, v.Entry})
}

// printAttempt prints the outcome of an attempt, which the answer has; what isn't accepted has an exit code of its own.
func (t *terminal) printAttempt(answer any, a attempt) error {
	err := t.print(answer, func(w io.Writer) {
		fmt.Fprintf(w, "outcome\t%s\n", a.outcome)
		if a.id != "" {
			fmt.Fprintf(w, "%s\t%s\n", a.kind, a.id)
		}
		if !a.retryAt.IsZero() {
			fmt.Fprintf(w, "retry at\t%s\n", a.retryAt.Format(time.RFC3339))
		}
		if a.replayed {
			fmt.Fprintf(w, "replayed\tyes\n")
		}
		fmt.Fprintf(w, "log entry\t%d\n", a.entry)
	})
	if err == nil && a.outcome != wire.Accepted {
		err = &exitError{exitRefused, fmt.Errorf("the %s was not accepted: %s", a.what, a.outcome)}
	}
	return err
}
