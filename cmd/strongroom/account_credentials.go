package main

import (
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"strongroom.internal/api/wire"
)

func newAccountEnrolDevice(t *terminal, o *accountOptions) *cobra.Command {
	var r wire.DeviceRequest
	var keyPath, signIn string
	c := &cobra.Command{
		Use:   "enrol-device ACCOUNT --public-key FILE",
		Short: "Trust a device by its public key; its seed comes back sealed to that key",
		Long: `The device makes a P-256 key pair and shows the public key. The answer has the device's certificate and its seed,
sealed to the device's key inside the hardware: only the device can open it. It is printed as JSON for the device. An account that has
a device, or is protected, wants a sign-in that was verified of late: --sign-in.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) (err error) {
			if r.PublicKey, err = readPublicKey(keyPath); err != nil {
				return err
			}
			cluster, ctx, end, err := o.open(c)
			if err != nil {
				return err
			}
			defer end()
			d, err := cluster.EnrolAnotherDevice(ctx, args[0], signIn, r)
			if err != nil {
				return err
			}
			t.format = "json" // it is for a machine
			return t.print(d, nil)
		},
	}
	c.Flags().StringVar(&keyPath, "public-key", "", "file with the device's P-256 public key (PEM or DER, PKIX)")
	_ = c.MarkFlagRequired("public-key")
	c.Flags().StringVar(&signIn, "sign-in", "", "a sign-in that was verified of late, for an account that has a device")
	describeDevice(c, &r)
	return c
}

func describeDevice(c *cobra.Command, r *wire.DeviceRequest) {
	f := c.Flags()
	f.StringVar(&r.Name, "name", "", "what its owner calls the device")
	f.StringVar(&r.Model, "model", "", "its model")
	f.StringVar(&r.Serial, "serial", "", "its serial number")
	f.StringVar(&r.Platform, "platform", "", "its system")
	f.StringVar(&r.SystemVersion, "system-version", "", "the version of its system")
}

func readPublicKey(path string) ([]byte, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the public key: %w", err)
	}
	if block, _ := pem.Decode(raw); block != nil {
		if block.Type != "PUBLIC KEY" {
			return nil, fmt.Errorf("reading the public key: %s holds a %s", path, block.Type)
		}
		return block.Bytes, nil
	}
	return raw, nil
}

func newAccountAddAuthenticator(t *terminal, o *accountOptions) *cobra.Command {
	var r wire.AuthenticatorRequest
	var qrOut string
	c := &cobra.Command{
		Use:   "add-authenticator ACCOUNT",
		Short: "Make a seed for an authenticator app and show it, once",
		Long: `Prints an otpauth URI, once: it can't be had again. Whoever sees it can make codes. The tenant's policy must allow it
(strongroom policy set TENANT --allow-reveal). With --qr-out the QR code is written as PNG and the URI is not printed.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if r.Label == "" {
				r.Label = args[0]
			}
			cluster, ctx, end, err := o.open(c)
			if err != nil {
				return err
			}
			defer end()
			a, err := cluster.AddAuthenticator(ctx, args[0], r)
			if err != nil {
				return err
			}
			if a.URI.IsZero() {
				return fmt.Errorf("the seed of authenticator %s was shown before and can't be had again; remove it and add another",
					a.Authenticator.ID)
			}
			t.say("added authenticator %s; what follows is shown this once", a.Authenticator.ID)
			if qrOut == "" {
				return t.printSecret(a, func(w io.Writer) { fmt.Fprintln(w, a.URI.Reveal()) })
			}
			if err := keepQR(qrOut, a.QR); err != nil {
				return err
			}
			return t.print(a.Authenticator, func(w io.Writer) { fmt.Fprintln(w, qrOut) })
		},
	}
	f := c.Flags()
	f.StringVar(&r.Issuer, "issuer", "", "who the app says that it is for")
	f.StringVar(&r.Label, "label", "", "which account the app says that it is for (default: the account's name)")
	f.StringVar(&r.Params.Type, "type", "", "totp or hotp (default totp)")
	f.StringVar(&r.Params.Algorithm, "algorithm", "", "SHA1, SHA256 or SHA512 (default SHA1)")
	f.IntVar(&r.Params.Digits, "digits", 0, "6 to 8 (default 6)")
	f.IntVar(&r.Params.Period, "period", 0, "seconds (default 30)")
	f.StringVar(&r.SignIn, "sign-in", "", "a sign-in that was verified of late, for an account that has a device")
	f.StringVar(&qrOut, "qr-out", "", "write the QR code to this file (PNG), which must not exist")
	_ = c.MarkFlagFilename("qr-out", "png")
	return c
}

// keepQR writes the seed's picture for its owner alone, and over nothing.
func keepQR(path string, qr wire.Secret) error {
	png, err := base64.StdEncoding.DecodeString(qr.Reveal())
	if err != nil {
		return errors.New("reading the QR code: it is not base64")
	}
	defer clear(png)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("keeping the QR code: %w", err)
	}
	_, err = f.Write(png)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("keeping the QR code: %w", err)
	}
	return nil
}

func newAccountRemove(t *terminal, o *accountOptions) *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use:   "remove ACCOUNT CREDENTIAL",
		Short: "Remove a device or an authenticator; its codes are dead at once",
		Args:  cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			account, id := args[0], args[1]
			cluster, ctx, end, err := o.open(c)
			if err != nil {
				return err
			}
			defer end()
			a, err := cluster.Account(ctx, account)
			if err != nil {
				return err
			}
			remove := cluster.RemoveAuthenticator
			for _, known := range a.Credentials {
				if known.ID == id && known.Kind == wire.KindDevice {
					remove = cluster.RemoveDevice
				}
			}
			consequence := fmt.Sprintf("This removes %s from account %s for good; its codes are dead at once.", id, account)
			if err := t.confirm(yes, id, consequence); err != nil {
				return err
			}
			if err := remove(ctx, account, id); err != nil {
				return err
			}
			return t.print(map[string]string{"removed": id}, func(w io.Writer) { fmt.Fprintf(w, "removed %s\n", id) })
		},
	}
	c.Flags().BoolVar(&yes, "yes", false, "do it without being asked")
	return c
}
