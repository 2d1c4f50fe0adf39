// SPDX-License-Identifier: Apache-2.0

//go:build linux && amd64

package kerneltest

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/modsign"
	"github.com/scaplab/scaplab/internal/modsign/modsigntest"
	"github.com/scaplab/scaplab/vmtest/guest"
	"github.com/scaplab/scaplab/vmtest/machine"
	"github.com/scaplab/scaplab/vmtest/machine/machinetest"
)

func TestMain(m *testing.M) { machinetest.Main(m, "TestGuest") }

// Files in the machine.
const (
	unsigned    = "unsigned.ko"
	byRoot      = "by-root.ko"     // signed with the key that the kernel has
	byIssued    = "by-issued.ko"   // signed with the key of issuedCert, with SHA-256
	byIssued512 = "by-issued5.ko"  // and with SHA-512
	flippedCode = "flipped.ko"     // byRoot, changed in the module
	flippedSig  = "flipped-sig.ko" // byRoot, changed in the signature
	byOther     = "by-other.ko"    // signed with a key that the kernel does not know
	byTwin      = "by-twin.ko"     // the same, in the name of the one that it has
	issuedCert  = "issued.der"     // a certificate that the kernel's one issued
)

// TestEnforcingKernel runs the tests named TestGuest on kernels fetched for it.
func TestEnforcingKernel(t *testing.T) {
	machinetest.Run(t, func(b *machine.Boot) {
		module := b.Files[guest.ModuleFile[1:]]
		image, err := os.ReadFile(b.Kernel)
		require.NoError(t, err)
		image, ca := trust(t, image, modsigntest.Template("root", 7))
		b.Kernel = filepath.Join(t.TempDir(), "vmlinux")
		require.NoError(t, os.WriteFile(b.Kernel, image, 0o600))
		b.Arguments = append(b.Arguments, "module.sig_enforce=1")

		rootKey := load(t, ca.key, ca.cert.Raw)
		signer := modsigntest.RSA(t)
		template := modsigntest.Template("release", 8)
		template.SubjectKeyId = []byte("release") // else the certificate has none
		issued := load(t, signer, ca.issue(t, template, signer.Public()))
		issued512 := *issued
		issued512.Hash = crypto.SHA512
		other, _, _ := modsigntest.Key(t, "other")
		twin, err := modsign.LoadKey(modsigntest.Files(t, modsigntest.RSA(t), modsigntest.Template("root", 7)))
		require.NoError(t, err)
		for name, key := range map[string]*modsign.Key{byRoot: rootKey, byIssued: issued, byIssued512: &issued512, byOther: other, byTwin: twin} {
			signed, err := key.Sign(module)
			require.NoError(t, err)
			b.Files[name] = signed
		}
		b.Files[unsigned], b.Files[issuedCert] = module, issued.Certificate.Raw
		b.Files[flippedCode], b.Files[flippedSig] = bytes.Clone(b.Files[byRoot]), bytes.Clone(b.Files[byRoot])
		b.Files[flippedCode][len(module)/2] ^= 1
		b.Files[flippedSig][len(b.Files[flippedSig])-60] ^= 1 // before the 40 bytes of its description and mark
		for _, name := range []string{flippedCode, flippedSig} {
			require.ErrorContains(t, modsign.Verify(b.Files[name], ca.cert), "does not match the module", "as the kernel sees it")
		}
		checkModinfo(t, b.Files[byIssued])
	})
}

// load returns a key whose certificate the test made.
func load(t *testing.T, signer crypto.Signer, cert []byte) *modsign.Key {
	der, err := x509.MarshalPKCS8PrivateKey(signer)
	require.NoError(t, err)
	both := append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})...)
	file := filepath.Join(t.TempDir(), "signing_key.pem")
	require.NoError(t, os.WriteFile(file, both, 0o600))
	key, err := modsign.LoadKey(file, "")
	require.NoError(t, err)
	return key
}

// checkModinfo compares what modinfo, if there is one, reads in a signed module with what was signed.
func checkModinfo(t *testing.T, signed []byte) {
	modinfo, err := exec.LookPath("modinfo")
	if err != nil {
		t.Log("modinfo (package kmod) is not installed: not compared")
		return
	}
	file := filepath.Join(t.TempDir(), "scap.ko")
	require.NoError(t, os.WriteFile(file, signed, 0o600))
	for field, want := range map[string]string{"sig_id": "PKCS#7", "signer": "root", "sig_key": "08", "sig_hashalgo": "sha256"} {
		out, err := exec.Command(modinfo, "-F", field, file).CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Equal(t, want, strings.TrimSpace(string(out)), field)
	}
}
