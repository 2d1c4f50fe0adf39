// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/vmtest/guest"
)

// FuzzGuestMessages judges what a guest says about itself and about a case. A kernel that a case has damaged may send anything:
// the host must not fail, and no nonsense may pass.
func FuzzGuestMessages(f *testing.F) {
	add := func(h guest.Hello, r *guest.CaseResult) {
		hello, err := json.Marshal(h)
		require.NoError(f, err)
		result, err := json.Marshal(r)
		require.NoError(f, err)
		f.Add(hello, result)
	}
	hello := guest.Hello{
		Release: "6.12.0-1-amd64", Arch: "amd64", Init: true, CPUs: 2, BTF: true, Calls: []guest.KernelCall{{Symbol: "openat", Args: 4}}, Lacks: map[string]string{"ipv6": "none"},
		Drivers: []guest.DriverState{{Name: guest.EBPF, Refused: []guest.Refusal{{Program: "x_openat_exit", Reason: "too large"}}}, {Name: guest.Kmod}},
	}
	good := goodOpen
	open := openResult(openEnter(f, openFlags), openExit(f, good))
	add(hello, open)
	pair := *open
	pair.Second = &guest.Capture{Driver: guest.Kmod, Events: open.Events, Lost: 1, Others: 2, Incomplete: "an event is missing"}
	add(hello, &pair)
	for _, outcome := range []guest.Outcome{guest.Crashed, guest.Timeout, guest.Skipped, guest.Failed, "strange"} {
		add(guest.Hello{Release: "5.10"}, &guest.CaseResult{Case: "openat/creates-a-file", Outcome: outcome, Reason: "why", Signal: "SIGKILL", Stderr: "last words"})
	}
	add(hello, &guest.CaseResult{Case: "mseal/probe-zeros", Outcome: guest.Ran, Ret: -38, Return: true})
	f.Add([]byte(`{"release":"6.1","arch":"amd64"}`), []byte(`{"case":"openat/creates-a-file","outcome":"ran","return":true,"events":["AAAA",""],"facts":{"ret":-1,"dir":"x"},"args":[]}`))

	f.Fuzz(func(t *testing.T, hello, result []byte) {
		var h guest.Hello
		var r guest.CaseResult
		if json.Unmarshal(hello, &h) != nil || json.Unmarshal(result, &r) != nil {
			return // told as a message that cannot be read
		}
		for _, drivers := range []guest.Drivers{guest.OnlyEBPF, {A: guest.EBPF, B: guest.Kmod}, {}} {
			m, err := NewMachine(&h, drivers)
			if err != nil {
				continue
			}
			NewPlan([]*Machine{m}, []string{r.Case})
			v := Result(m, &r)
			require.Contains(t, []Status{Pass, Fail, Skip}, v.Status)
			if v.Status == Fail {
				require.NotEmpty(t, v.Class)
				require.NotEmpty(t, v.Reason)
			}
			if v.Status == Pass {
				require.NotEqual(t, guest.Outcome("strange"), r.Outcome)
				for _, p := range v.Params {
					require.True(t, p.OK, "%s passes with a param that differs", p.Name)
				}
			}
		}
	})
}
