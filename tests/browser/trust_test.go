package browser

import (
	"sync"
	"testing"
)

// TestTrustedBrowser: trusted when its owner says so after the code; then the password is enough, until they sign out
// completely, revoke it (S7), or change a password that somebody else may know (S6).
func TestTrustedBrowser(t *testing.T) {
	r := power(t)
	stage, password := r.visitor(t)
	phone, web, mac := stage.at("phone"), stage.another("browser"), stage.another("mac")
	asked := sync.OnceFunc(func() {
		web.readable("the question after the code")
		web.shoot("asked", light, narrow)
	})
	trust := func() {
		t.Helper()
		begin(phone, web, password)
		enter(web, allow(phone))
		web.see("h1", "Trust this browser?")
		asked()
		web.send("#trust-browser")
		web.see("#trust", "is trusted until")
	}
	begin(phone, mac, password)
	enter(mac, allow(phone))
	mac.click("#to-account")
	mac.see("#browsers", "None")
	trust()
	mac.see("#browsers", "not used since") // by itself
	again := func() {
		t.Helper()
		web.send("#sign-out")
		web.fill("#password", password)
		web.send("#continue")
		web.see(".said", "No code was needed: this browser is trusted")
	}
	again()
	again() // with the token that took the first one's place
	var seen string
	web.eval(`document.cookie`, &seen)
	if seen != "" {
		t.Errorf("scripts read the cookies %q", seen)
	}
	mac.open("account")
	mac.see("#browsers", "last used")
	mac.send("#browsers li form button")
	mac.see(".said", "not trusted any more")
	web.see("#trust", "is not trusted") // by itself
	web.send("#sign-out")
	trust()
	web.send("#forget")
	mac.see("#browsers", "None")
	trust()

	mac.click("#change-password summary")
	mac.fill("#old-password", password)
	mac.fill("#new-password", "another-"+password)
	mac.click("#known")
	mac.shoot("change", light, narrow)
	mac.send("#set-password")
	mac.see(".said", "Nothing is trusted any more")
	mac.see("#notices", "The password was changed")
	mac.see("#browsers", "None")
	mac.see("#devices", "this Mac")
	phone.see("h1", "This phone was removed")
	web.see("h1", "Sign in") // by itself
	web.fill("#password", password)
	web.send("#continue")
	web.see(".said.bad", "don't go together")
	web.fill("#password", "another-"+password)
	web.send("#continue")
	web.see("h1", "Two-factor")
}

// TestForgottenPassword: the trusted phone sets another one (A2); who has neither device nor phone starts a recovery, which
// says its date, takes less time when the mail is answered, and is stopped by the phone (A3).
func TestForgottenPassword(t *testing.T) {
	r := power(t)
	stage, password := r.visitor(t)
	phone, mac, messages := stage.at("phone/protection"), stage.another("mac"), stage.another("messages")
	mac.click("#forgot")
	mac.click("#no-device summary")
	mac.shoot("forgot", light, narrow)
	phone.click("#to-password")
	phone.fill("#new-password", "another-"+password)
	phone.shoot("new", narrow)
	phone.send("#reset")
	phone.see(".said", "The new password is set")

	phone.open("phone")
	mac.send("#recover")
	mac.see("#recovery-state", "It can be completed from")
	mac.see("#recovery-state", "Nothing speaks for you yet")
	messages.see(".text", "recover") // told, without a code
	messages.shoot("told", light)
	messages.click(".mail a")
	messages.see("h1", "Is it you")
	messages.readable("the question in the mail")
	messages.send("#speak")
	messages.see(".said", "Thank you")
	mac.see("#recovery-state", "the link in the mail") // by itself
	mac.click("#help-phone_code summary")
	mac.readable("a recovery that runs")
	mac.shoot("recovery", light, dark, narrow)
	phone.see("#requests", "Somebody recovers your account")
	phone.readable("a recovery, on the phone")
	phone.shoot("told", narrow)
	phone.send("[data-stop]")
	phone.see(".said", "was stopped")
	mac.see("h1", "The recovery is over") // by itself
	mac.click("#to-sign-in")
	mac.fill("#password", password)
	mac.send("#continue")
	mac.see(".said.bad", "don't go together")
	begin(phone, mac, "another-"+password)
	enter(mac, allow(phone))
	mac.click("#to-account")
	for _, words := range []string{"A new password was set", "Somebody began to recover the account", "recovery was stopped"} {
		mac.see("#notices", words)
	}
}
