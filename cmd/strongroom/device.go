package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"strongroom.internal/api/wire"
	"strongroom.internal/appliance/otp"
	"strongroom.internal/hsm"
)

// A virtual device: what a phone would keep in its secure element is in a file here. It is for trying the appliance and
// for tests, and says so.

// deviceFile is a virtual device. The seed isn't in it: it is opened from the envelope for each code.
type deviceFile struct {
	Warning  string        `json:"warning"`
	Key      []byte        `json:"key"` // PKCS #8
	Device   string        `json:"device"`
	Params   wire.Params   `json:"params"`
	Binding  wire.Binding  `json:"binding"`
	Envelope wire.Envelope `json:"envelope"`
}

const deviceWarning = "A virtual device for tests: its key is in this file, in clear."

func newDevice(t *terminal) *cobra.Command {
	c := &cobra.Command{
		Use:   "device",
		Short: "A virtual device for tests: enrol one and have it show codes",
		Long: `A TEST TOOL. A real device keeps its key in its own hardware; a virtual one keeps it in a file, in clear. Enrol real
devices with ` + "`strongroom account enrol-device`.",
		RunE: needsCommand,
	}
	c.AddCommand(newDeviceEnrol(t), newDeviceCode(t))
	return c
}

func newDeviceEnrol(t *terminal) *cobra.Command {
	var out string
	r := wire.DeviceRequest{}
	c := &cobra.Command{
		Use:     "enrol ACCOUNT --out FILE",
		Short:   "Make a virtual device and enrol it (test tool)",
		Example: "  strongroom device enrol alice --out phone.json\n  strongroom device code phone.json | strongroom account verify alice",
		Args:    cobra.ExactArgs(1),
	}
	o := connectionFlags(c)
	c.Flags().StringVar(&out, "out", "", "file for the virtual device, which must not exist")
	_ = c.MarkFlagRequired("out")
	describeDevice(c, &r)
	c.RunE = func(c *cobra.Command, args []string) error {
		if _, err := os.Lstat(out); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s is there already; give another --out", out)
		}
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return fmt.Errorf("making the device's key: %w", err)
		}
		if r.PublicKey, err = x509.MarshalPKIXPublicKey(key.Public()); err != nil {
			return fmt.Errorf("encoding the device's key: %w", err)
		}
		d := deviceFile{Warning: deviceWarning}
		if d.Key, err = x509.MarshalPKCS8PrivateKey(key); err != nil {
			return fmt.Errorf("encoding the device's key: %w", err)
		}
		if r.Name == "" {
			r.Name, r.Model = "virtual device", or(r.Model, "strongroom device")
		}
		cluster, ctx, end, err := o.open(c)
		if err != nil {
			return err
		}
		defer end()
		enrolled, err := cluster.EnrolDevice(ctx, args[0], r)
		if err != nil {
			return err
		}
		d.Device, d.Params, d.Binding, d.Envelope = enrolled.Device.ID, enrolled.Device.Params, enrolled.Binding, enrolled.Envelope
		seed, err := d.open()
		if err != nil {
			return err
		}
		seed.Destroy()
		raw, err := json.MarshalIndent(d, "", "\t")
		if err != nil {
			return fmt.Errorf("encoding the device: %w", err)
		}
		if err := writeDurably(out, append(raw, '\n'), 0o600); err != nil {
			return fmt.Errorf("keeping the device: %w", err)
		}
		t.say("%s", deviceWarning)
		return t.print(map[string]string{"device": d.Device, "file": out}, func(w io.Writer) { fmt.Fprintln(w, d.Device) })
	}
	return c
}

func newDeviceCode(t *terminal) *cobra.Command {
	return &cobra.Command{
		Use:   "code FILE",
		Short: "Show a virtual device's code of this moment (test tool)",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			raw, err := os.ReadFile(args[0])
			if err != nil {
				return fmt.Errorf("reading the device: %w", err)
			}
			var d deviceFile
			if err := json.Unmarshal(raw, &d); err != nil {
				return fmt.Errorf("reading the device %s: it is not a virtual device", args[0])
			}
			code, left, err := d.code(time.Now())
			if err != nil {
				return err
			}
			data := struct {
				Code    string `json:"code"`
				Seconds int    `json:"seconds_left"`
			}{code.Reveal(), left}
			return t.print(data, func(w io.Writer) { fmt.Fprintln(w, data.Code) })
		},
	}
}

// open opens the envelope, as the device's own hardware would.
func (d *deviceFile) open() (*hsm.Secret, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(d.Key)
	key, ok := parsed.(*ecdsa.PrivateKey)
	if err != nil || !ok {
		return nil, errors.New("reading the device: its key is not one of P-256")
	}
	agree, err := key.ECDH()
	if err != nil {
		return nil, fmt.Errorf("reading the device's key: %w", err)
	}
	return hsm.OpenEnvelope(agree, hsm.Binding(d.Binding), hsm.Envelope(d.Envelope))
}

// code is the device's code at a time, and for how many seconds it is shown.
func (d *deviceFile) code(now time.Time) (otp.Code, int, error) {
	hash := map[string]hsm.Hash{"SHA1": hsm.SHA1, "SHA256": hsm.SHA256, "SHA512": hsm.SHA512}[d.Params.Algorithm].Crypto()
	if d.Params.Type != "totp" || !hash.Available() || d.Params.Period <= 0 {
		return otp.Code{}, 0, fmt.Errorf("reading the device: it can't make codes of %s", paramsText(d.Params))
	}
	seed, err := d.open()
	if err != nil {
		return otp.Code{}, 0, err
	}
	defer seed.Destroy()
	counter := otp.Counter(otp.StepAt(now.UnixMilli(), uint16(d.Params.Period)))
	mac := hmac.New(hash.New, seed.Reveal())
	mac.Write(counter[:])
	left := int64(d.Params.Period) - now.Unix()%int64(d.Params.Period)
	return otp.Truncate(mac.Sum(nil), uint8(d.Params.Digits)), int(left), nil
}
