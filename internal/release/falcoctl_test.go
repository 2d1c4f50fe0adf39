// SPDX-License-Identifier: Apache-2.0

package release

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestModulesAreNamedAsFalcoctlLooksForThem(t *testing.T) {
	for _, tt := range []struct{ release, version, target, want string }{
		{"6.12.118+deb13-cloud-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 6.12.118-1 (2026-11-20)", "debian", "debian_6.12.118-1-cloud-amd64_1"},
		{"6.1.0-13-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 6.1.55-1 (2023-09-29)", "debian", "debian_6.1.55-1-amd64_1"},
		{"5.10.0-0.deb10.22-rt-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 5.10.178-3", "debian", "debian_5.10.178-3-rt-amd64_1"},
		{"7.3.4+deb13-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 7.3.4-1~bpo13+1 (2026-11-15)", "debian", "debian_7.3.4-1-amd64_1"},
		{"5.15.0-91-generic", "#101~20.04.1-Ubuntu SMP Thu Nov 16 14:22:28 UTC 2023", "ubuntu-generic", "ubuntu-generic_5.15.0-91-generic_101~20.04.1"},
		{"5.15.0-1009-aws", "#11-Ubuntu SMP Thu May 26 19:22:21 UTC 2022", "ubuntu-aws", "ubuntu-aws_5.15.0-1009-aws_11"},
		{"6.7.2-arch1-2", "#1 SMP PREEMPT_DYNAMIC Wed, 31 Jan 2024 09:22:15 +0000", Undetermined, "undetermined_6.7.2-arch1-2_1"},
	} {
		require.Equal(t, tt.target, targetOf(tt.release, tt.version))
		k := Kernel{Release: tt.release, Version: tt.version, Target: tt.target, Arch: "amd64"}
		require.Equal(t, "1.2.3+driver/x86_64/scap_"+tt.want, moduleName("scap", "1.2.3", k))
	}
	// A target that uname does not tell, and another architecture.
	k := Kernel{Release: "5.14.0-503.el9.aarch64", Version: "#1 SMP PREEMPT_DYNAMIC Fri Nov 15 12:04:32 UTC 2024", Target: "rocky", Arch: "arm64"}
	require.Equal(t, "1.0.0+driver/aarch64/falco_rocky_5.14.0-503.el9.aarch64_1", moduleName("falco", "1.0.0", k))
	k = Kernel{Release: "6.5.3-1-amd64", Version: "#39 SMP", Target: "debian", Arch: "amd64"}
	require.Equal(t, "1.0.0+driver/x86_64/scap_debian_6.5.3-1-amd64_39", moduleName("scap", "1.0.0", k), "without a package's version")
}

// falcoctl escapes the version for a query, in which + is %2B, and puts the rest into the path as it is.
func TestAServerOfFilesServesFalcoctl(t *testing.T) {
	r := mustRun(t)
	dir := t.TempDir()
	require.NoError(t, r.write(dir, r.modules[0]))
	server := httptest.NewServer(http.FileServer(http.Dir(dir)))
	defer server.Close()
	resp, err := http.Get(server.URL + "/" + url.QueryEscape(DriverVersion(r.manifest.Version)) + "/x86_64/scap_debian_6.12.1-1-amd64_1.ko")
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusOK, resp.StatusCode)
	got, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, "module for amd64", string(got))
}
