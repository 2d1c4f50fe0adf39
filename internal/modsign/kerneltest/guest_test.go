// SPDX-License-Identifier: Apache-2.0

//go:build linux && amd64

package kerneltest

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func insmod(t *testing.T, name string) error {
	module, err := os.ReadFile("/" + name)
	require.NoError(t, err)
	return unix.InitModule(module, "")
}

// log returns the kernel's log.
func log(t *testing.T) string {
	buf := make([]byte, 1<<20)
	n, err := unix.Klogctl(unix.SYSLOG_ACTION_READ_ALL, buf)
	require.NoError(t, err)
	return string(buf[:n])
}

func requireLoads(t *testing.T, name string) {
	require.NoError(t, insmod(t, name), "%s\n%s", name, log(t))
	require.NoError(t, unix.DeleteModule("scap", unix.O_NONBLOCK), name)
}

func TestGuestKernelEnforcesSignatures(t *testing.T) {
	enforced, err := os.ReadFile("/sys/module/module/parameters/sig_enforce")
	require.NoError(t, err)
	require.Equal(t, "Y\n", string(enforced))
}

func TestGuestModuleSignedWithATrustedKeyLoads(t *testing.T) {
	requireLoads(t, byRoot)
}

func TestGuestModuleOfAnIssuedCertificateLoadsOnceTheKernelHasThat(t *testing.T) {
	for _, name := range []string{byIssued, byIssued512} {
		require.ErrorIs(t, insmod(t, name), unix.EKEYREJECTED)
	}
	cert, err := os.ReadFile("/" + issuedCert)
	require.NoError(t, err)
	_, err = unix.AddKey("asymmetric", "", cert, keyring(t, ".secondary_trusted_keys")) // described by the certificate itself
	require.NoError(t, err, "%s", log(t))
	requireLoads(t, byIssued)
	// Kernels have the hash that their own modules are signed with, and may have others as modules only.
	known, err := os.ReadFile("/proc/crypto")
	require.NoError(t, err)
	if strings.Contains(string(known), ": sha512\n") {
		requireLoads(t, byIssued512)
		return
	}
	t.Log("this kernel has no SHA-512 built in")
	require.ErrorIs(t, insmod(t, byIssued512), unix.EKEYREJECTED)
	require.Contains(t, log(t), "Loading of module with unsupported crypto is rejected")
}

// keyring returns the number of one of the kernel's keyrings.
func keyring(t *testing.T, name string) int {
	text, err := os.ReadFile("/proc/keys")
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, " "+name+": ") {
			id, err := strconv.ParseUint(strings.Fields(line)[0], 16, 32)
			require.NoError(t, err)
			return int(int32(id))
		}
	}
	require.Fail(t, "no keyring "+name, "%s", text)
	return 0
}

func TestGuestOtherModulesAreRefused(t *testing.T) {
	for name, want := range map[string]struct {
		errnos []error
		said   string
	}{
		unsigned:    {[]error{unix.EKEYREJECTED}, "Loading of unsigned module is rejected"},
		byOther:     {[]error{unix.EKEYREJECTED}, "Loading of module with unavailable key is rejected"},
		flippedCode: {[]error{unix.EKEYREJECTED, unix.EBADMSG}, ""},
		flippedSig:  {[]error{unix.EKEYREJECTED, unix.EBADMSG}, ""},
		byTwin:      {[]error{unix.EKEYREJECTED, unix.EBADMSG, unix.EINVAL}, ""},
	} {
		err := insmod(t, name)
		require.Error(t, err, name)
		require.Contains(t, want.errnos, err, name)
		require.Contains(t, log(t), want.said, name)
		t.Logf("%s: %v", name, err)
	}
}
