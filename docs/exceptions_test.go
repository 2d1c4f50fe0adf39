// SPDX-License-Identifier: Apache-2.0

package docs_test

// exception says how a command of the documents is tried that does not run as it stands.
type exception struct {
	run       string // what is run in its place: less of the same
	prepare   string // what is run before it
	live      bool   // it runs until it is interrupted
	status    string // the exit status that it has here
	elsewhere string // it does not run here: where it does
}

const (
	gate    = "the gate runs it"
	checked = "TestARelease of cmd/scaplab takes it from the page and runs it"
	large   = "too large for each run of the tests: run before a release"
	// Another machine, or a copy of this one, has the package.
	installed = "TestPackages of packaging"
	dkms      = "make debian, in a Debian machine"
	sid       = "needs sysdig of Debian sid, 300 MB: run when the figures of its page are made"
)

// exceptions are by command. A test fails if no page has one.
var exceptions = map[string]exception{
	"make matrix": {elsewhere: gate},
	"make test":   {elsewhere: gate + "; this test is part of it"},

	// Less of the same.
	"go install github.com/scaplab/scaplab/cmd/...@latest":    {run: `GOBIN="$PWD/installed" go install ./cmd/... && installed/scap events openat`},
	"scaplab exec --kernel 5.10 -- uname -r":                  {run: "scaplab exec --kernel 6.12 -- uname -r"},
	"go test -exec 'scaplab exec --kernel 5.10 --' ./...":     {run: "go test -exec 'scaplab exec --kernel 6.12 --' ./internal/kver"},
	"make matrix KERNEL=6.1 SYSCALL=openat,connect":           {run: "make matrix KERNEL=6.12 SYSCALL=getppid,getpid"},
	"make matrix DRIVER=ebpf":                                 {run: "make matrix DRIVER=ebpf KERNEL=6.12 SYSCALL=getppid"},
	"make matrix ARGS='--suite io_uring,toctou'":              {run: "make matrix KERNEL=6.12 ARGS='--suite io_uring,toctou'"},
	"make matrix ARGS='--json out.json --html out.html'":      {run: "make matrix KERNEL=6.12 SYSCALL=getppid ARGS='--json out.json --html out.html' && test -s out.html"},
	"make matrix ARGS=--watch":                                {run: "make matrix KERNEL=6.12 SYSCALL=getppid ARGS=--watch"},
	"make matrix ARGS=--cost":                                 {run: "make matrix KERNEL=6.12 SYSCALL=getppid ARGS=--cost"},
	"scap record -w trace.scap -z -C 100 -W 5 openat connect": {run: "scap record -w rotated.scap -z -C 100 -W 5 -d 1s openat connect"},
	"scap record -w trace.scap":                               {run: "scap record -w recorded.scap -d 1s"},
	"scap rules falco_rules.yaml":                             {run: "scap rules -d 1s falco_rules.yaml"},
	"scap rules falco_rules.yaml my_rules.yaml":               {run: "scap rules -d 1s falco_rules.yaml my_rules.yaml"},
	"scap rules --output file:/var/log/alerts --output https://alerts.example/ --metrics falco_rules.yaml": {
		run: `scap rules -d 1s --output "file:$PWD/alerts" --output https://127.0.0.1:1/ --metrics=127.0.0.1:0 falco_rules.yaml`},
	"scap record openat": {live: true},
	`go test -exec "scaplab exec --kernel 5.10 --program sh,cat,sleep --copy-in $PWD/tables --" ./scap/...`: {
		run: `go test -exec "scaplab exec --kernel 6.12 --program sh,cat,sleep --copy-in $PWD/tables --" ./scap/proc`},
	"scaplab cache prune --older-than 336h": {run: "scaplab cache prune --older-than 87600h"},
	"scaplab cache prune --max-size 4GB":    {run: "scaplab cache prune --max-size 1000GB"},
	"for i in 0 1 2 3; do SHARDS=4 JOB_COMPLETION_INDEX=$i REPORTS=out deploy/scaplab-shard; done": {
		run: "mkdir shards; for i in 0 1; do SHARDS=2 JOB_COMPLETION_INDEX=$i REPORTS=$PWD/shards deploy/scaplab-shard --kernel 6.12 --syscall getppid,getpid; done; test -s shards/report.html"},

	// A page that shows what is wrong.
	"scap rules check my_rules.yaml": {prepare: "cp docs/testdata/wrong_rules.yaml wrong_rules.yaml", run: "scap rules check wrong_rules.yaml", status: "1"},

	"make matrix KERNEL=all":                                                {elsewhere: large},
	"make matrix ARCH=arm64":                                                {elsewhere: large},
	"scaplab matrix --kernel all --cache-limit 4GB":                         {elsewhere: large},
	"docker build -f deploy/Dockerfile -t scaplab .":                        {elsewhere: "needs Docker; make workflows checks the manifest"},
	"kubectl apply -f deploy/matrix.yaml":                                   {elsewhere: "needs a cluster; make workflows checks the manifest"},
	"kubectl wait --for=condition=complete --timeout=2h job/scaplab-matrix": {elsewhere: "needs a cluster"},
	"internal/cmd/filediff/prepare /var/tmp/sid && go run ./internal/cmd/filediff /var/tmp/sid [CAPTURE...]":                   {elsewhere: sid},
	"internal/cmd/filediff/prepare /var/tmp/sid && go run ./internal/cmd/fielddiff [--values] [--few] /var/tmp/sid CAPTURE...": {elsewhere: sid},
	"internal/cmd/filediff/prepare /var/tmp/sid && go run ./internal/cmd/readspeed -n 3 /var/tmp/sid":                          {elsewhere: sid},
	"scaplab matrix --driver kmod=falcosecurity-scap-dkms --kernel 6.1,6.12":                                                   {elsewhere: "TestTheModuleOfADebianPackageIsJudged of cmd/scaplab, on one kernel"},
	"scaplab matrix --driver kmod=./scap.ko --kernel 6.12":                                                                     {elsewhere: "TestTheModuleOfADebianPackageIsJudged of cmd/scaplab"},
	"scaplab matrix --driver kmod=./driver --kernel 6.1,6.12":                                                                  {elsewhere: "TestTheModuleOfADebianPackageIsJudged of cmd/scaplab"},
	"scaplab matrix --driver capture=trace.scap --facts facts.json": {
		run: `scap record --native --ring-size 67108864 -w cases.scap & until test -s cases.scap; do sleep 0.2; done; scaplab cases --facts facts.json; kill -INT %1; wait %1
scaplab matrix --driver capture=cases.scap --facts facts.json`},
	"sysdig -w trace.scap &":             {elsewhere: sid},
	"./scaplab cases --facts facts.json": {elsewhere: "the command that judges a capture, above"},
	"kill %1":                            {elsewhere: sid},

	// adding.md
	"go run ./cmd/scaplab table diff 6.12 newest":                             {run: "go run ./cmd/scaplab table diff 6.12 6.12"},
	"go run ./cmd/scaplab table add --kernel newest":                          {run: "go run ./cmd/scaplab table add --kernel 6.12"},
	"go test ./internal/tabledraft -v -run 'NeedNoEdit|TypedCalls|CameLater'": {elsewhere: gate},

	// releases.md
	"make release": {elsewhere: large},
	"scaplab build kmod --kernel 6.1,newest --out out/kmod":                                                              {run: "scaplab build kmod --kernel 6.12 --out out/kmod"},
	"scaplab build bpf --kernel 6.12,arm64:6.12 --out out/bpf":                                                           {run: "scaplab build bpf --kernel 6.12 --out out/bpf"},
	"scaplab build release --twice --kernel 6.12 --out out/release":                                                      {elsewhere: "TestARelease of cmd/scaplab makes one, and make release one twice"},
	"scaplab verify out/release --minisign-pub out/release.keys/minisign.pub --module-cert out/release.keys/modules.pem": {elsewhere: checked},
	"minisign -V -p out/release.keys/minisign.pub -m out/release/SHA256SUMS":                                             {elsewhere: checked},
	"minisign -V -p out/release.keys/minisign.pub -m out/release/provenance.intoto.json":                                 {elsewhere: checked},
	"cd out/release && sha256sum --check --strict SHA256SUMS":                                                            {elsewhere: checked},
	"modinfo -F signer out/release/*+driver/*/*.ko":                                                                      {elsewhere: checked},
	`for ko in out/release/*+driver/*/*.ko; do n=$((0x$(tail -c 32 "$ko" | head -c 4 | od -An -tx1 | tr -d ' '))); head -c -$((n + 40)) "$ko" >module.unsigned; tail -c $((n + 40)) "$ko" | head -c $n >module.sig; openssl smime -verify -binary -inform DER -in module.sig -content module.unsigned -certfile out/release.keys/modules.pem -nointern -noverify -out module.verified; done`: {elsewhere: checked},
	`git checkout "$(sed -n 's/.*"revision": "\([0-9a-f]*\)".*/\1/p' out/release/manifest.json)"`:                          {elsewhere: "needs a checkout, and a release of it"},
	"bin/scaplab build release --kernel 6.12 --out again":                                                                  {elsewhere: "TestARelease of cmd/scaplab makes one"},
	"python3 -m http.server --directory out/release":                                                                       {elsewhere: "serves until it is ended"},
	"falcoctl driver config --type kmod --name scap --version VERSION+driver --repo http://SERVER:8000":                    {elsewhere: "needs falcoctl"},
	"falcoctl driver install --type kmod --compile=false":                                                                  {elsewhere: "needs falcoctl, and loads a module"},
	"scaplab build kmod --kernel ./vmlinuz --headers kernel-devel-5.14.0-503.el9.x86_64.rpm --target rocky --out out/kmod": {elsewhere: "TestARelease of cmd/scaplab, with an .rpm that it makes"},
	"scaplab build kmod --kernel ./bzImage --headers ./linux --target gentoo --out out/kmod":                               {elsewhere: "TestCompileErrorsAndProbes of internal/kmodbuild builds in a directory of headers"},
	"oras repo tags --oci-layout out/release.oci":                                                                          {elsewhere: "needs oras; internal/oci reads layouts with its library"},
	"oras pull --oci-layout out/release.oci:VERSION --output pulled":                                                       {elsewhere: "needs oras; internal/oci reads layouts with its library"},
	"oras copy --from-oci-layout out/release.oci:VERSION registry.example.org/scaplab/drivers:VERSION":                     {elsewhere: "needs oras and a registry"},

	// install.md
	"make packages": {run: "make packages SOURCE_DATE_EPOCH=951782400 && ls out/packages/scaplab_*.deb out/packages/scaplab-*.rpm"}, // the copy has no commits
	"setcap cap_bpf,cap_perfmon+ep /usr/local/bin/scap": {
		run: `p=$(mktemp); trap 'rm "$p"' EXIT; cp bin/scap "$p"; chmod 755 "$p"
setcap cap_bpf,cap_perfmon+ep "$p" && cd / && setpriv --reuid=65534 --regid=65534 --clear-groups "$p" record -d 1s openat`},
	"apt-get install ./scaplab_*_amd64.deb":        {elsewhere: installed},
	"systemctl enable --now scap-record.service":   {elsewhere: installed},
	"scap read /var/lib/scap-record/trace.scap0":   {elsewhere: installed},
	"systemd-analyze security scap-record.service": {elsewhere: "TestTheServiceIsConfined of packaging"},
	"apt-get install ./scaplab-dkms_*_all.deb":     {elsewhere: dkms},
	"modprobe scap":                    {elsewhere: dkms},
	"scap record --driver kmod openat": {elsewhere: dkms},
}
