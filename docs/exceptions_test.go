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
	gate  = "the gate runs it"
	large = "too large for each run of the tests: run before a release"
	// Another machine, or a copy of this one, has the package.
	installed = "TestPackages of packaging"
	dkms      = "the test of the DKMS package in a Debian machine"
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
		run: `go test -exec "scaplab exec --kernel 6.12 --program sh,cat,sleep --copy-in $PWD/tables --" ./scap/event`},
	"scaplab kernels diff 6.1 6.12":         {run: "scaplab kernels diff 6.12 6.12"},
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
		run: `scap record --native --ring-size 67108864 -w cases.scap & sleep 3; scaplab cases --facts facts.json; kill -INT %1; wait %1
scaplab matrix --driver capture=cases.scap --facts facts.json`},
	"sysdig -w trace.scap &":             {elsewhere: sid},
	"./scaplab cases --facts facts.json": {elsewhere: "the command that judges a capture, above"},
	"kill %1":                            {elsewhere: sid},

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
