// SPDX-License-Identifier: Apache-2.0

package apt

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/scaplab/scaplab/internal/env"
	"github.com/scaplab/scaplab/internal/files"
)

// Mirror says where a Debian archive is fetched from.
type Mirror struct {
	Main     string // base URI of the main archive
	Security string // base URI of the security archive
	Keyring  string // file with the archive's keys

	// Ended are the suites that are no longer maintained: their indices may have expired.
	Ended []string
	// Pace is the time before the second try after an error that may pass. It doubles
	// with each try. 0 means a second.
	Pace time.Duration
}

// ParseMirror reads the value of a --mirror flag: the main archive's base URI
// and, after a comma, that of the security archive. Mirrors usually have the latter
// beside the former, which is the default.
func ParseMirror(s string) (Mirror, error) {
	m := Mirror{}
	main, security, two := strings.Cut(s, ",")
	m.Main = strings.TrimRight(main, "/")
	m.Security = strings.TrimRight(security, "/")
	if !two {
		m.Security = m.Main + "-security"
	}
	for _, u := range []string{m.Main, m.Security} {
		if scheme, rest, ok := strings.Cut(u, ":"); !ok || scheme == "" || rest == "" || strings.ContainsAny(u, " \t\n") {
			return Mirror{}, fmt.Errorf("mirror %q: want URI or URI,SECURITY-URI", s)
		}
	}
	var err error
	m.Keyring, err = ArchiveKeyring()
	return m, err
}

// ArchiveKeyring is the path at which the archive's keys are installed.
func ArchiveKeyring() (string, error) {
	for _, ext := range []string{"gpg", "pgp"} {
		if f := "/usr/share/keyrings/debian-archive-keyring." + ext; files.Exists(f) {
			return f, nil
		}
	}
	return "", env.Lacks("no keys to check Debian packages with", "install debian-archive-keyring, or give a kernel by file: --kernel FILE")
}

// MachineMirror returns the archive that apt on this machine uses.
func MachineMirror(ctx context.Context) (Mirror, error) {
	const fix = "use --mirror URI, or give a kernel by file: --kernel FILE"
	if _, err := exec.LookPath("apt-get"); err != nil {
		return Mirror{}, env.Lacks("apt is not installed, so no kernel packages can be fetched", fix)
	}
	out, err := run(ctx, "", "apt-get", []string{"indextargets", "--format", "$(REPO_URI) $(RELEASE) $(ORIGIN)", "Created-By: Packages"})
	if err != nil {
		return Mirror{}, err
	}
	m, err := mirrorFromTargets(out, osRelease())
	if err != nil {
		return Mirror{}, env.Lacks(err.Error(), fix)
	}
	m.Keyring, err = ArchiveKeyring()
	return m, err
}

// mirrorFromTargets picks the archives from apt's list of `URI release origin`
// lines: main has the machine's own release, security a release that ends in -security.
// Other vendors use these names, too, but with another origin. Before the first
// apt-get update the origin is not known, and the line has the format's text instead.
func mirrorFromTargets(targets string, release map[string]string) (Mirror, error) {
	if release["ID"] != "debian" {
		return Mirror{}, fmt.Errorf("apt on %s is not set up for the Debian archive", orUnknown(release["ID"]))
	}
	own := map[string]bool{"stable": true, "oldstable": true, "testing": true, "unstable": true, "sid": true}
	if c := release["VERSION_CODENAME"]; c != "" {
		own[c] = true
	}
	var m Mirror
	for _, sure := range []bool{true, false} {
		for line := range strings.Lines(targets) {
			uri, rest, ok := strings.Cut(strings.TrimSpace(line), " ")
			suite, origin, _ := strings.Cut(rest, " ")
			if unknown := origin == "" || strings.HasPrefix(origin, "$("); !ok || sure != (origin == "Debian") || !sure && !unknown {
				continue
			}
			uri = strings.TrimRight(uri, "/")
			base, isSecurity := strings.CutSuffix(suite, "-security")
			switch {
			case isSecurity && own[base] && m.Security == "":
				m.Security = uri
			case own[suite] && m.Main == "":
				m.Main = uri
			}
		}
	}
	switch {
	case m.Main == "":
		return Mirror{}, fmt.Errorf("apt is not set up for the Debian archive's %s", orUnknown(release["VERSION_CODENAME"]))
	case m.Security == "":
		m.Security = m.Main + "-security"
	}
	return m, nil
}

func orUnknown(s string) string {
	if s == "" {
		return "an unknown system"
	}
	return s
}

// osRelease reads /etc/os-release. It returns nothing for a missing file.
func osRelease() map[string]string {
	m := map[string]string{}
	b, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return m
	}
	for line := range strings.Lines(string(b)) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			m[k] = strings.Trim(v, `"'`)
		}
	}
	return m
}

// base returns the archive that has the suite.
func (m Mirror) base(suite string) string {
	if strings.HasSuffix(suite, "-security") {
		return m.Security
	}
	return m.Main
}
