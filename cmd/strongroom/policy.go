package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"strongroom.internal/api/client"
	"strongroom.internal/api/wire"
)

func newPolicy(t *terminal) *cobra.Command {
	c := &cobra.Command{Use: "policy", Short: "Show or set a tenant's policy", RunE: needsCommand}
	o := connectionFlags(c)
	c.AddCommand(newPolicyShow(t, o), newPolicySet(t, o), newPolicyApply(t, o), newPolicyExample(t))
	return c
}

func newPolicyShow(t *terminal, o *connection) *cobra.Command {
	return &cobra.Command{
		Use:   "show TENANT",
		Short: "Show a tenant's policy; one that was never set allows nothing",
		Args:  cobra.ExactArgs(1),
		RunE:  callsOn(o, (*client.Client).Policy, t.printPolicy),
	}
}

func newPolicySet(t *terminal, o *connection) *cobra.Command {
	var p wire.Policy
	c := &cobra.Command{
		Use:   "set TENANT",
		Short: "Change a tenant's policy; what isn't given stays as it is",
		Long: `Two doors through which a seed is seen outside of the hardware are shut unless they are opened here, and each passage is
in the log: --allow-reveal (a new seed is shown once as a QR code) and --allow-import (an existing seed is taken in).
App passwords open a service without a second factor, and are off unless allowed here: --allow-app-passwords. Two-step
verification, the older scheme, is taken over from elsewhere while --allow-two-step-import is set. Shut one again with
=false.`,
		Example: "  strongroom policy set acme --allow-reveal\n  strongroom policy set acme --allow-reveal=false",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			given := c.Flags().Changed
			any := false
			c.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) { any = any || f.Changed })
			if !any {
				return usage(c, fmt.Errorf("nothing to set: give --allow-reveal, --allow-import, --tell-spent or another"))
			}
			cluster, ctx, end, err := o.open(c)
			if err != nil {
				return err
			}
			defer end()
			next, err := cluster.Policy(ctx, args[0])
			if err != nil {
				return err
			}
			for name, to := range map[string][2]*bool{
				"allow-reveal": {&next.AllowReveal, &p.AllowReveal},
				"allow-import": {&next.AllowImport, &p.AllowImport},
				"tell-spent":   {&next.TellSpent, &p.TellSpent},

				"tell-phones":           {&next.TellPhones, &p.TellPhones},
				"no-browser-trust":      {&next.NoBrowserTrust, &p.NoBrowserTrust},
				"open-enrolment":        {&next.OpenEnrolment, &p.OpenEnrolment},
				"allow-app-passwords":   {&next.AllowAppPasswords, &p.AllowAppPasswords},
				"allow-two-step-import": {&next.AllowTwoStepImport, &p.AllowTwoStepImport},
			} {
				if given(name) {
					*to[0] = *to[1]
				}
			}
			setSignInPolicy(given, &next, p)
			if err := cluster.SetPolicy(ctx, args[0], next); err != nil {
				return err
			}
			return t.printPolicy(next)
		},
	}
	c.Flags().BoolVar(&p.AllowReveal, "allow-reveal", false, "new seeds may be shown once as a QR code")
	c.Flags().BoolVar(&p.AllowImport, "allow-import", false, "existing seeds may be imported")
	c.Flags().BoolVar(&p.TellSpent, "tell-spent", false, "front-ends are told that a right code was used before")
	c.Flags().BoolVar(&p.AllowAppPasswords, "allow-app-passwords", false, "app passwords may be made, and open their services")
	c.Flags().BoolVar(&p.TellPhones, "tell-phones", false, "when a number is removed, all numbers of the account are told by a text")
	c.Flags().BoolVar(&p.NoBrowserTrust, "no-browser-trust", false, "no browser is trusted, nor any that was before")
	c.Flags().BoolVar(&p.OpenEnrolment, "open-enrolment", false, "devices are added to accounts that have one without a verified sign-in")
	c.Flags().BoolVar(&p.AllowTwoStepImport, "allow-two-step-import", false, "two-step verification that was on elsewhere may be taken over")
	signInPolicyFlags(c, &p)
	return c
}

// signInPolicyFlags are the policy's numbers about sign-ins and phones; 0 is the default.
func signInPolicyFlags(c *cobra.Command, p *wire.Policy) {
	f := c.Flags()
	f.StringVar(&p.CodeDomain, "code-domain", "", "the domain that text messages bind their code to")
	f.IntVar(&p.SignInMinutes, "sign-in-minutes", 0, "how long a sign-in and its codes live (0: 10)")
	f.IntVar(&p.SendsPerSignIn, "sends-per-sign-in", 0, "codes sent to phones for one sign-in (0: 5)")
	f.IntVar(&p.SendsPerPhone, "sends-per-phone", 0, "codes sent to one number within an hour (0: 5)")
	f.IntVar(&p.SendsPerAccount, "sends-per-account", 0, "codes sent for one account within an hour (0: 10)")
	f.IntVar(&p.SendCooldownSeconds, "send-cooldown-seconds", 0, "between two codes to one number (0: 30)")
	f.IntVar(&p.StepUpMinutes, "step-up-minutes", 0, "how long ago a sign-in may have been verified that phones and devices are changed with (0: 10 where one is asked for by default)")
	f.IntVar(&p.BrowserDays, "browser-days", 0, "how long a browser is trusted without a code (0: 30)")
}

// setSignInPolicy takes over what was given.
func setSignInPolicy(given func(string) bool, next *wire.Policy, p wire.Policy) {
	if given("code-domain") {
		next.CodeDomain = p.CodeDomain
	}
	for name, to := range map[string][2]*int{
		"sign-in-minutes": {&next.SignInMinutes, &p.SignInMinutes}, "sends-per-sign-in": {&next.SendsPerSignIn, &p.SendsPerSignIn},
		"sends-per-phone": {&next.SendsPerPhone, &p.SendsPerPhone}, "sends-per-account": {&next.SendsPerAccount, &p.SendsPerAccount},
		"send-cooldown-seconds": {&next.SendCooldownSeconds, &p.SendCooldownSeconds}, "step-up-minutes": {&next.StepUpMinutes, &p.StepUpMinutes},
		"browser-days": {&next.BrowserDays, &p.BrowserDays},
	} {
		if given(name) {
			*to[0] = *to[1]
		}
	}
}

func (t *terminal) printPolicy(p wire.Policy) error {
	return t.print(p, func(w io.Writer) {
		fmt.Fprintf(w, "allow-reveal\t%v\nallow-import\t%v\ntell-spent\t%v\n", p.AllowReveal, p.AllowImport, p.TellSpent)
		fmt.Fprintf(w, "allow-app-passwords\t%v\ntell-phones\t%v\n", p.AllowAppPasswords, p.TellPhones)
		fmt.Fprintf(w, "allow-two-step-import\t%v\n", p.AllowTwoStepImport)
		fmt.Fprintf(w, "born-protected\t%v\nno-way-back\t%v\nlisted-only\t%v\n", p.BornProtected, p.NoWayBack, p.ListedOnly)
		fmt.Fprintf(w, "no-browser-trust\t%v\nopen-enrolment\t%v\n", p.NoBrowserTrust, p.OpenEnrolment)
		printAccessPolicy(w, p)
		for _, x := range p.Platforms {
			fmt.Fprintf(w, "platform\t%s\t%s\n", x.Name, or(x.Minimum, "every version"))
		}
		for _, class := range p.ExcludedClasses {
			fmt.Fprintf(w, "excluded-class\t%s\n", class)
		}
		if p.CodeDomain != "" {
			fmt.Fprintf(w, "code-domain\t%s\n", p.CodeDomain)
		}
		for _, n := range []struct {
			name  string
			value int
		}{
			{"sign-in-minutes", p.SignInMinutes},
			{"sends-per-sign-in", p.SendsPerSignIn},
			{"sends-per-phone", p.SendsPerPhone},
			{"sends-per-account", p.SendsPerAccount},
			{"send-cooldown-seconds", p.SendCooldownSeconds},
			{"step-up-minutes", p.StepUpMinutes},
			{"browser-days", p.BrowserDays},
		} {
			if n.value != 0 {
				fmt.Fprintf(w, "%s\t%d\n", n.name, n.value)
			}
		}
	})
}

// printAccessPolicy prints what the policy says of recoveries and password resets, where it says something.
func printAccessPolicy(w io.Writer, p wire.Policy) {
	r := p.Recovery
	fmt.Fprintf(w, "recovery.allow\t%v\n", r.Allow)
	for _, n := range []struct {
		name  string
		value int
	}{
		{"wait_days", r.WaitDays},
		{"floor_days", r.FloorDays},
		{"pause_days", r.PauseDays},
		{"shorten.phone_code_hours", r.Shorten.PhoneCode},
		{"shorten.device_hours", r.Shorten.Device},
		{"shorten.password_hours", r.Shorten.Password},
		{"shorten.email_hours", r.Shorten.Email},
	} {
		if n.value != 0 {
			fmt.Fprintf(w, "recovery.%s\t%d\n", n.name, n.value)
		}
	}
	fmt.Fprintf(w, "password_reset.local_presence\t%v\npassword_reset.by_code\t%v\n", p.PasswordReset.LocalPresence, p.PasswordReset.ByCode)
}
