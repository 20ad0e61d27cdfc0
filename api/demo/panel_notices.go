package demo

import (
	"context"
	"time"

	"strongroom.internal/api/wire"
)

// noticeWords is what people read of a notice.
var noticeWords = map[string]string{
	wire.NoticeBegun:         "Somebody began to sign in",
	wire.NoticeAllowed:       "A sign-in was allowed",
	wire.NoticeDenied:        "A sign-in was not allowed",
	wire.NoticeNotMe:         "A sign-in was not allowed: somebody else knows the password",
	wire.NoticeVerified:      "A code was entered and the sign-in finished",
	wire.NoticeCancelled:     "A sign-in was cancelled",
	wire.NoticeProtectionOn:  "Two-factor authentication was turned on",
	wire.NoticeProtectionOff: "Two-factor authentication was turned off",
	wire.NoticeDeviceLost:    "A device was reported lost or erased",
	wire.NoticeDeviceAdded:   "A device became trusted",
	wire.NoticeDeviceRemoved: "A device was removed",
	wire.NoticePhoneAdded:    "A phone number was added",
	wire.NoticePhoneRemoved:  "A phone number was removed",

	wire.NoticeBrowserTrusted:  "A browser became trusted",
	wire.NoticeBrowserReused:   "A copy of a browser's token was used: it is not trusted any more",
	wire.NoticePasswordChanged: "The password was changed",
	wire.NoticePasswordReset:   "A new password was set on a trusted device",

	wire.NoticeTwoStepOn:       "Two-step verification was turned on",
	wire.NoticeTwoStepOff:      "Two-step verification was turned off",
	wire.NoticeRecoveryKeyMade: "A recovery key was made",
	wire.NoticeRecoveryKeyUsed: "The recovery key was used",

	wire.NoticeRecoveryStarted:   "Somebody began to recover the account, without a device or a phone",
	wire.NoticeRecoveryShortened: "Something spoke for whoever recovers the account: it takes less time",
	wire.NoticeRecoveryGranted:   "The wait of the account’s recovery is over, and it is being completed",
	wire.NoticeRecoveryCompleted: "The account was recovered: its former devices are not trusted any more",
	wire.NoticeRecoveryCancelled: "The account’s recovery was stopped",
}

// appWords is what they read when it is of an authenticator app, which has neither name nor model.
var appWords = map[string]string{
	wire.NoticeDeviceAdded:   "An authenticator app was added",
	wire.NoticeDeviceRemoved: "An authenticator app was removed",
}

var noticesPanel = panel{
	Name: "notices", Title: "Recent activity",
	load: func(_ context.Context, _ *Site, h *home) (any, error) {
		type shown struct {
			Words, Detail string
			At            time.Time
		}
		var list []shown
		for _, n := range h.recent() {
			x := shown{Words: noticeWords[n.kind], At: n.at, Detail: n.data.Name}
			if x.Words == "" {
				x.Words = n.kind
			}
			switch d := n.data; {
			case d.Name == "" && (d.Device == nil || d.Device.Model == "") && appWords[n.kind] != "":
				x.Words = appWords[n.kind]
			case n.kind != wire.NoticeRecoveryCancelled && n.kind != wire.NoticeRecoveryCompleted && !d.Ready.IsZero():
				x.Detail = "It can be completed from " + d.Ready.Local().Format(dayLayout) + " on"
			case d.Masked != "":
				x.Detail = d.Masked
			case d.Device != nil && d.Place != nil && d.Place.Label != "":
				x.Detail = d.Device.Model + ", about " + d.Place.Label
			case d.Device != nil && d.Device.Model != "":
				x.Detail = d.Device.Model
			}
			list = append(list, x)
		}
		return list, nil
	},
}
