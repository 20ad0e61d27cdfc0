package account

func init() {
	random := []byte("fedcba9876543210")
	goldenStates["state-recovery"] = &State{
		Version: 1, Salt: []byte("0123456789abcdef"), Created: start, Time: start + 90*second, Keys: 0x303132333437,
		Phones: []Phone{{ID: "p1", Number: "+14155550101", Added: start, Verified: start + minute}},
		Access: Access{
			Recovery: Recovery{
				ID: "r1", Nonce: goldenNonce, Started: start,
				Terms: Terms{Wait: 14 * day, Floor: 3 * day, Pause: 7 * day, Shorten: Weights{PhoneCode: 96, Device: 120, Password: 24, Email: 48}},
				Evidence: []Evidence{
					{Kind: PhoneCodeEvidence, At: start + minute, By: "p1"}, {Kind: EmailEvidence, At: start + 90*second},
				},
				Granted: start + 80*second, Phone: "p1", Code: 9, CodeAt: start + 70*second, Tries: 2,
			},
			Grants: []Grant{{Purpose: GrantRecovery, By: "r1", Random: random, Expires: start + 15*minute}},
			Next:   start + day,
		},
	}
	goldenStates["state-recovery-cancelled"] = &State{
		Version: 1, Salt: []byte("0123456789abcdef"), Created: start, Time: start + 90*second, Keys: 0x303132333437,
		SignIns: []SignIn{{
			ID: "s1", Nonce: goldenNonce, Purpose: ForPasswordReset, Begun: start, Expires: start + 10*minute, Ended: start + minute,
			End: Verified, By: "phone", Own: "phone", Granted: true,
		}},
		Access: Access{
			Recovery: Recovery{
				ID: "r1", Nonce: goldenNonce, Started: start, Terms: Terms{Wait: 14 * day, Floor: 3 * day},
				End: RecoveryEndCancelled, Ended: start + minute, By: "phone",
			},
			Next: start + 7*day,
		},
	}
	device := &Credential{
		ID: "mac", Kind: Device, Params: totp6, Seed: []byte("seed"), SeedVersion: 1, KeyVersion: 3, PublicKey: []byte("key"),
	}
	for name, set := range map[string]func(*Command){
		"command-start-recovery": func(c *Command) { c.StartRecovery = &StartRecovery{ID: "r1", Nonce: goldenNonce} },
		"command-recovery-send": func(c *Command) {
			c.RecoveryAct = &RecoveryAct{Recovery: "r1", Act: RecoverySend, Phone: "p1", Voice: true}
		},
		"command-recovery-device": func(c *Command) {
			c.RecoveryAct = &RecoveryAct{
				Recovery: "r1", Act: RecoveryCancel, Kind: DeviceEvidence,
				Signed: &RecoverySigned{Device: "phone", Time: start, Signature: []byte("signature")},
			}
		},
		"command-recovery-code": func(c *Command) {
			c.RecoveryAct = &RecoveryAct{
				Recovery: "r1", Act: RecoveryEvidence, Kind: PhoneCodeEvidence,
				Attempt: &RecoveryAttempt{Code: 9, Evaluated: true, Matched: true, MACs: 1},
			}
		},
		"command-recovery-claim": func(c *Command) {
			c.RecoveryAct = &RecoveryAct{Recovery: "r1", Act: RecoveryClaim, Random: random}
		},
		"command-reset-password": func(c *Command) {
			c.ResetPassword = &ResetPassword{
				SignIn: "s1", Device: "phone", Present: true, Time: start, Signature: []byte("signature"), Random: random,
			}
		},
		"command-redeem-reset": func(c *Command) {
			c.RedeemGrant = &RedeemGrant{Purpose: GrantReset, Random: random, Matched: true, MACs: 1, Token: 0x0102030405060708}
		},
		"command-redeem-recovery": func(c *Command) {
			c.RedeemGrant = &RedeemGrant{
				Purpose: GrantRecovery, Random: random, Matched: true, MACs: 1, Token: 0x0102030405060708, Recovery: "r1", Device: device,
				Key: 0x0807060504030201,
			}
		},
	} {
		goldenCommands[name] = goldenCommand(set)
	}
}
