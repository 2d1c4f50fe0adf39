// SPDX-License-Identifier: Apache-2.0

package release

import (
	"path"
	"regexp"
	"strings"
)

// Architectures as `uname -m` calls them, by GOARCH.
var unameArch = map[string]string{"amd64": "x86_64", "arm64": "aarch64"}

// Undetermined is the target of kernels whose distribution is not known. falcoctl uses it for machines without os-release, and does not
// download for them.
const Undetermined = "undetermined"

// DriverVersion returns what falcoctl is told as the driver's version: a directory of the repository. Falco's own have the same
// suffix (7.0.0+driver).
func DriverVersion(version string) string { return version + "+driver" }

// moduleName returns where falcoctl looks for the module of a kernel, without its extension:
//
//	VERSION/ARCH/NAME_TARGET_RELEASE_KERNELVERSION.ko
//
// under the repository's URL, with VERSION escaped for a query (+ is %2B), ARCH x86_64 or aarch64, and NAME as in `falcoctl driver config
// --name` (falcosecurity/falcoctl, pkg/driver/distro/distro.go: toURL, toFilename; the architectures are those of
// falcosecurity/driverkit, pkg/kernelrelease). TARGET, RELEASE and KERNELVERSION follow from os-release, `uname -r` and `uname -v`:
//
//   - In general TARGET is the ID of os-release, RELEASE is `uname -r`, and KERNELVERSION the number that `uname -v` begins with,
//     without its #: "#1 SMP PREEMPT_DYNAMIC Wed, 31 Jan 2024 ..." is 1 (generic.go).
//   - debian: a release such as 6.1.0-57-cloud-amd64 stays the same while the kernel changes, so RELEASE is the version of the package, which
//     `uname -v` has, of the form N.N.N-N, with -amd64, -cloud-amd64 or -rt-amd64 (arm64 alike) as in `uname -r`; KERNELVERSION is
//     then 1. "#1 SMP PREEMPT_DYNAMIC Debian 6.1.192-3 (2026-11-26)" makes 6.1.192-3-cloud-amd64. What follows the second number
//     (7.3.4-1~bpo13+1) is left out (debian.go).
//   - ubuntu: TARGET is ubuntu-FLAVOR, the first word of letters after a dash in `uname -r` (5.15.0-1009-aws: ubuntu-aws; generic without one), and
//     KERNELVERSION the first word of `uname -v` without # and without -Ubuntu: 26~22.04.1 (ubuntu.go).
//
// falcoctl has further rules for Amazon Linux, Bottlerocket, COS, Flatcar, Minikube, Oracle and Talos, which change TARGET or KERNELVERSION: name the
// target as falcoctl prints it.
func moduleName(driver, version string, k Kernel) string {
	release, number := k.Release, k.Version
	if m := leadingNumber.FindStringSubmatch(k.Version); m != nil {
		number = m[1]
	}
	switch {
	case k.Target == "debian":
		if of := debianVersion.FindString(k.Version); of != "" {
			release, number = of, "1"
			if m := debianFlavor.FindStringSubmatch(k.Release); m != nil {
				release += "-" + m[1] + m[2]
			}
		}
	case strings.HasPrefix(k.Target, "ubuntu-"):
		number, _, _ = strings.Cut(strings.TrimLeft(k.Version, "#"), " ")
		number = strings.TrimSuffix(number, "-Ubuntu")
	}
	file := strings.Join([]string{driver, k.Target, release, number}, "_")
	return path.Join(DriverVersion(version), unameArch[k.Arch], file)
}

var (
	leadingNumber = regexp.MustCompile(`^#(\d+)`)
	debianVersion = regexp.MustCompile(`\d+\.\d+\.\d+-\d+`)
	debianFlavor  = regexp.MustCompile(`-(rt-|cloud-|)(amd64|arm64)`)
	ubuntuFlavor  = regexp.MustCompile(`-([a-zA-Z]+)(?:-.*)?$`)
)

// targetOf returns the target of a kernel whose `uname -v` names the distribution.
func targetOf(release, version string) string {
	switch {
	case strings.Contains(version, " Debian "):
		return "debian"
	case strings.Contains(version, "-Ubuntu"):
		if m := ubuntuFlavor.FindStringSubmatch(release); m != nil {
			return "ubuntu-" + m[1]
		}
		return "ubuntu-generic"
	}
	return Undetermined
}
