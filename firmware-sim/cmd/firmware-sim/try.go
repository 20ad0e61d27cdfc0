package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"rsc.io/qr"
)

// print shows the authenticator and the lines to try. The lines with two spaces in front are bash, and a test runs
// exactly what is printed.
func (d *demo) print(w io.Writer) error {
	code, err := qr.Encode(d.uri.Reveal(), qr.L)
	if err != nil {
		return fmt.Errorf("drawing the QR code: %w", err)
	}
	here, err := shorten(d.rack.Dir())
	if err != nil {
		return err
	}
	programs, err := ownDir()
	if err != nil {
		return err
	}
	var api []string
	for _, c := range d.rack.Chassis {
		api = append(api, c.APIAddr())
	}
	sim := programs + "/firmware-sim"
	if here != "run" {
		sim += " --rack " + here
	}
	fmt.Fprintf(w, `
%s
The account %q of the tenant %q has this authenticator; scan it with an app, or let oathtool be the app. The
seed was made in the nodes' tokens and is shown because this tenant's policy opens the QR door. From this directory, in
another terminal:

  code=$(oathtool --totp --base32 @%[4]s/demo/seed)
  verify() { curl -K %[4]s/demo/curl -H "Idempotency-Key: $RANDOM-$RANDOM" --json "{\"code\":\"$code\"}" "https://$1/v1/accounts/%[2]s/verifications"; }

# A right code is accepted, once, in the whole cluster: the second and the third answer are "spent".
  verify %[5]s
  verify %[5]s
  verify %[6]s

# The node that leads dies without a word. What was spent stays spent, and the next code (30 s later) is accepted.
  %[7]s kill $(%[7]s leader)
  for node in %[8]s; do verify $node; done

# Every answer has its entry in the key-usage log. An entry, or all of the log, can be proved to who has the nodes' keys and
# no network.
  jo() { %[9]s/strongroom "$@" --client-config %[4]s/demo/auditor.toml; }
  jo log entries | tail -n 4
  jo audit policy >%[4]s/demo/policy
  jo log proof --entry $(jo log search --operation verify --count 1 | awk 'NR == 2 {print $1}') >%[4]s/demo/proof
  %[9]s/strongroom audit receipt %[4]s/demo/proof --policy %[4]s/demo/policy
  rm -f %[4]s/demo/log.tar; jo audit export --out %[4]s/demo/log.tar
  %[9]s/strongroom audit verify %[4]s/demo/log.tar --policy %[4]s/demo/policy

# Break more, and look: power-on, pull-token, insert-token, pause, resume, wipe, replace.
  %[7]s status
  %[9]s/strongroom status --client-config %[4]s/demo/auditor.toml

`, blocks(code), demoAccount, demoTenant, here, api[0], api[min(1, len(api)-1)], sim, strings.Join(api, " "), programs)
	return nil
}

// shorten gives a path as it is typed from here.
func shorten(path string) (string, error) {
	here, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("finding the working directory: %w", err)
	}
	if relative, err := filepath.Rel(here, path); err == nil && !strings.HasPrefix(relative, "..") {
		return relative, nil
	}
	return path, nil
}

func ownDir() (string, error) {
	own, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("finding this program: %w", err)
	}
	return shorten(filepath.Dir(own))
}

// blocks draws a QR code with half blocks, two rows a line, with the quiet zone that cameras need (ISO/IEC 18004: four
// modules). Light modules are drawn, which is right for the dark background of most terminals.
func blocks(code *qr.Code) string {
	const quiet = 4
	light := func(x, y int) bool { return !code.Black(x, y) } // outside of the code is light
	var b strings.Builder
	for y := -quiet; y < code.Size+quiet; y += 2 {
		for x := -quiet; x < code.Size+quiet; x++ {
			switch top, bottom := light(x, y), light(x, y+1); {
			case top && bottom:
				b.WriteRune('█')
			case top:
				b.WriteRune('▀')
			case bottom:
				b.WriteRune('▄')
			default:
				b.WriteRune(' ')
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}
